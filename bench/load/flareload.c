/* A closed-loop load generator for key-value servers that speak gRPC, compiled so that it leaves the cores to them.
 *
 *   cc -O2 -o flareload flareload.c -lnghttp2
 *   flareload --protocol etcd|unary|batch --routes FILE HOST:PORT... [options]
 *
 *   --protocol etcd    etcdserverpb.KV Put and Range (linearizable, as etcd does by default), one call per operation
 *              unary   tikvpb.Tikv RawPut and RawGet, one call per operation
 *              batch   tikvpb.Tikv BatchCommands: one stream per connection, frames of up to --frame operations
 *   --routes FILE      one line per region, ordered by start key: "START HOST CONTEXT"; START and CONTEXT in hex, "-" for
 *                      empty, HOST an index into the addresses, CONTEXT an encoded kvrpcpb.Context. Not for etcd.
 *   --in-flight 256    operations unanswered at any time, shared evenly by the hosts that have keys
 *   --connections 1    per host;      --frame 64   --reads 0 (per cent)   --keys 20000   --value-bytes 128
 *   --seconds 5        measured, after --warm-up 1 that is not
 *   --fill             instead: write every key once, in order, and stop
 *   --pids 1,2,3       processes whose CPU time is read when the measured time begins and ends
 *
 * Prints one JSON line. Exit status 0; 1 if a connection or the protocol fails; 2 for a bad command line. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tools.h"

enum { HOSTS_MAX = 64, PIDS_MAX = 64, CONTEXT_MAX = 256, KEY_MAX = 32, ENVELOPE_MAX = 64 };
enum { WINDOW_BYTES = 1 << 26, READ_BYTES = 1 << 18, SEND_BYTES = 1 << 16 };
enum protocol { ETCD, UNARY, BATCH };

static struct {
    enum protocol protocol;
    int in_flight, connections, frame, reads;
    uint32_t keys;
    size_t value_bytes;
    double seconds, warm_up;
    bool fill;
    int hosts, pids;
    char *host[HOSTS_MAX];
    int pid[PIDS_MAX];
} opt = {.in_flight = 256, .connections = 1, .frame = 64, .keys = 20000, .value_bytes = 128, .seconds = 5, .warm_up = 1};

/* ---------------------------------------------------------------- the processes measured */

/* User and system time so far, in seconds. */
static double cpu_of_pids(void) {
    double sum = 0;
    for (int i = 0; i < opt.pids; i++) {
        char path[64], line[2048];
        unsigned long user = 0, system = 0;
        snprintf(path, sizeof path, "/proc/%d/stat", opt.pid[i]);
        FILE *file = fopen(path, "r");
        if (!file) die(1, "process %d is gone", opt.pid[i]);
        size_t size = fread(line, 1, sizeof line - 1, file);
        fclose(file);
        line[size] = 0;
        char *rest = strrchr(line, ')'); /* a name may hold anything */
        if (rest) sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
        sum += (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
    }
    return sum;
}

static double own_cpu(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* ---------------------------------------------------------------- keys and routes */

struct route {
    uint8_t start[64], context[CONTEXT_MAX];
    int start_size, context_size, host;
};
struct pick { uint32_t number, route; }; /* a key, and the region that it is in */
static struct route *routes;
static uint32_t route_count;
static struct pick *picks[HOSTS_MAX]; /* of each host: the keys that are led there */
static uint32_t pick_count[HOSTS_MAX], next_pick[HOSTS_MAX];
static uint8_t *value;

static int key_text(char *to, uint32_t number) { return sprintf(to, "key-%012u", number); }

static int unhex(const char *text, uint8_t *to, int size_max) {
    int size = 0;
    if (*text == '-') return 0;
    for (unsigned byte; sscanf(text, "%2x", &byte) == 1; text += 2) {
        if (size == size_max) die(2, "routes: a key or context is too long");
        to[size++] = (uint8_t)byte;
        if (!text[1]) break;
    }
    return size;
}

static void read_routes(const char *path) {
    char start[132], context[2 * CONTEXT_MAX + 4];
    int host;
    FILE *file = fopen(path, "r");
    if (!file) die(2, "cannot read %s: %s", path, strerror(errno));
    while (fscanf(file, "%131s %d %515s", start, &host, context) == 3) {
        routes = grown(routes, (route_count + 1) * sizeof *routes);
        struct route *route = &routes[route_count++];
        if (host < 0 || host >= opt.hosts) die(2, "routes: there is no host %d", host);
        route->host = host;
        route->start_size = unhex(start, route->start, sizeof route->start);
        route->context_size = unhex(context, route->context, CONTEXT_MAX);
    }
    fclose(file);
    if (!route_count || routes[0].start_size) die(2, "%s: the first region must start at \"-\"", path);
}

static bool begins_by(const struct route *route, const char *key, int size) {
    int shared = size < route->start_size ? size : route->start_size;
    int order = memcmp(route->start, key, (size_t)shared);
    return order < 0 || (order == 0 && route->start_size <= size);
}

/* Keys ascend, and so do regions: one pass. */
static void deal_keys(void) {
    uint32_t route = 0;
    for (uint32_t number = 0; number < opt.keys; number++) {
        char key[KEY_MAX];
        int size = key_text(key, number);
        while (route + 1 < route_count && begins_by(&routes[route + 1], key, size)) route++;
        int host = route_count ? routes[route].host : 0;
        if ((pick_count[host] & (pick_count[host] - 1)) == 0) /* none, or full at a power of two */
            picks[host] = grown(picks[host], 2 * (pick_count[host] + 1) * sizeof **picks);
        picks[host][pick_count[host]++] = (struct pick){number, route};
    }
}

/* ---------------------------------------------------------------- bytes of a request */

/* The next operation on a host's keys. Returns its size; what it is goes to is_read. The etcd messages number their
 * fields one lower, as they carry no context. */
static size_t next_operation(int host, uint8_t *to, bool *is_read) {
    uint32_t at = opt.fill ? next_pick[host]++ : (uint32_t)(chance() % pick_count[host]);
    struct pick pick = picks[host][at];
    char key[KEY_MAX];
    size_t key_size = (size_t)key_text(key, pick.number);
    uint8_t *end = to;
    int field = 1;
    *is_read = !opt.fill && (int)(chance() % 100) < opt.reads;
    if (opt.protocol != ETCD) {
        struct route *route = &routes[pick.route];
        end = put_bytes(end, field++, route->context, (size_t)route->context_size);
    }
    end = put_bytes(end, field++, key, key_size);
    if (!*is_read) end = put_bytes(end, field, value, opt.value_bytes);
    return (size_t)(end - to);
}

static size_t operation_bytes_max(void) { return CONTEXT_MAX + KEY_MAX + opt.value_bytes + ENVELOPE_MAX; }

/* ---------------------------------------------------------------- bytes of an answer */

/* TiKV's raw answers: 1 region error, 2 error, 4 of a get: not found. etcd's: 2 of a range: the row. */
static void judge(const uint8_t *at, const uint8_t *end, bool is_read) {
    struct field field;
    bool is_missing = is_read && opt.protocol == ETCD, has_failed = false;
    while (next_field(&at, end, &field)) {
        if (opt.protocol == ETCD) {
            if (is_read && field.number == 2) is_missing = false;
        } else if (field.number == 1 || field.number == 2) {
            has_failed = true;
        } else if (is_read && field.number == 4) {
            is_missing = field.varint != 0;
        }
    }
    failed += measuring && has_failed;
    missing += measuring && is_missing;
}

/* ---------------------------------------------------------------- connections */

struct link {
    int socket, host, window, unanswered;
    char *authority;
    nghttp2_session *session;
    struct buffer unsent, request, answer; /* of the socket; of the stream, for BatchCommands */
    bool awaits_room, is_deferred;
    int32_t stream;
    uint64_t next_id, id_mask, *sent_ns; /* when the request with an id was sent, by its low bits */
};

struct call { /* one unary operation under way; used again for the next */
    struct link *link;
    struct buffer request, answer;
    uint64_t sent_ns;
    bool is_read;
    int status;
};

static struct link *links;
static int link_count, epoll_fd;
static uint64_t unanswered_total;

static ssize_t read_request(nghttp2_session *session, int32_t stream, uint8_t *to, size_t size, uint32_t *flags,
                            nghttp2_data_source *source, void *user) {
    (void)session, (void)stream, (void)user;
    struct buffer *from = source->ptr;
    size_t left = from->size - from->taken;
    struct link *link = user;
    if (opt.protocol == BATCH && !left) {
        link->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (size > left) size = left;
    memcpy(to, from->bytes + from->taken, size);
    from->taken += size;
    if (opt.protocol != BATCH && size == left) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)size;
}

static nghttp2_nv header(const char *name, const char *text) {
    return (nghttp2_nv){(uint8_t *)name, (uint8_t *)text, strlen(name), strlen(text), NGHTTP2_NV_FLAG_NONE};
}

static int32_t begin_stream(struct link *link, const char *path, struct buffer *request, void *user) {
    nghttp2_nv headers[] = {header(":method", "POST"), header(":scheme", "http"), header(":path", path),
                            header(":authority", link->authority), header("te", "trailers"),
                            header("content-type", "application/grpc"), header("user-agent", "flareload")};
    nghttp2_data_provider provider = {.source.ptr = request, .read_callback = read_request};
    int32_t stream = nghttp2_submit_request(link->session, NULL, headers, 7, &provider, user);
    if (stream < 0) die(1, "%s: %s", path, nghttp2_strerror(stream));
    return stream;
}

static bool has_next(const struct link *link) {
    return !stopping && (!opt.fill || next_pick[link->host] < pick_count[link->host]);
}

static void begin_call(struct call *call) {
    static const char *path[2][2] = {{"/etcdserverpb.KV/Put", "/etcdserverpb.KV/Range"},
                                     {"/tikvpb.Tikv/RawPut", "/tikvpb.Tikv/RawGet"}};
    uint8_t *to = room_for(&call->request, operation_bytes_max());
    size_t size = next_operation(call->link->host, to + PREFIX, &call->is_read);
    put_prefix(to, size);
    call->request.size += PREFIX + size;
    call->answer.size = call->answer.taken = 0;
    call->status = -1;
    call->sent_ns = now_ns();
    call->link->unanswered++;
    unanswered_total++;
    begin_stream(call->link, path[opt.protocol == UNARY][call->is_read], &call->request, call);
}

/* Fill the window of a BatchCommands stream: one frame, or several, of what has become free. */
static void send_frames(struct link *link) {
    static uint8_t *operation;
    if (!operation) operation = grown(NULL, operation_bytes_max());
    while (link->unanswered < link->window && has_next(link)) {
        int wanted = link->window - link->unanswered;
        if (wanted > opt.frame) wanted = opt.frame;
        uint8_t *prefix = room_for(&link->request, PREFIX + (size_t)wanted * (operation_bytes_max() + 16));
        uint8_t *to = prefix + PREFIX;
        uint64_t first_id = link->next_id, at_ns = now_ns();
        size_t ids_size = 0;
        for (; wanted && has_next(link); wanted--) {
            bool is_read;
            size_t size = next_operation(link->host, operation, &is_read);
            *to++ = 0x0a; /* requests, of which each is a member of a union: 13 RawGet, 15 RawPut */
            to = put_varint(to, 1 + varint_size(size) + size);
            to = put_bytes(to, is_read ? 13 : 15, operation, size);
            ids_size += varint_size(link->next_id);
            link->sent_ns[link->next_id++ & link->id_mask] = at_ns;
        }
        *to++ = 0x12; /* request ids, packed */
        to = put_varint(to, ids_size);
        for (uint64_t id = first_id; id < link->next_id; id++) to = put_varint(to, id);
        put_prefix(prefix, (size_t)(to - prefix) - PREFIX);
        link->request.size += (size_t)(to - prefix);
        link->unanswered += (int)(link->next_id - first_id);
        unanswered_total += link->next_id - first_id;
    }
    if (link->is_deferred && link->request.taken < link->request.size) {
        link->is_deferred = false;
        nghttp2_session_resume_data(link->session, link->stream);
    }
}

static void take_id(struct link *link, uint64_t id, uint64_t at_ns) {
    if (!link->unanswered) die(1, "more answers than requests");
    link->unanswered--;
    unanswered_total--;
    answered(link->sent_ns[id & link->id_mask], at_ns);
}

static void take_frame(struct link *link, const uint8_t *at, const uint8_t *end) {
    struct field field, member;
    uint64_t at_ns = now_ns();
    while (next_field(&at, end, &field)) {
        if (field.number == 1) {
            const uint8_t *inner = field.bytes;
            while (next_field(&inner, field.end, &member)) judge(member.bytes, member.end, member.number == 13);
        } else if (field.number == 2 && field.bytes) {
            for (const uint8_t *inner = field.bytes; inner < field.end;)
                take_id(link, get_varint(&inner, field.end), at_ns);
        } else if (field.number == 2) {
            take_id(link, field.varint, at_ns);
        }
    }
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *bytes, size_t size,
                   void *user) {
    (void)flags;
    struct link *link = user;
    struct call *call = opt.protocol == BATCH ? NULL : nghttp2_session_get_stream_user_data(session, stream);
    struct buffer *answer = call ? &call->answer : &link->answer;
    memcpy(room_for(answer, size), bytes, size);
    answer->size += size;
    while (!call && answer->size - answer->taken >= PREFIX) {
        const uint8_t *head = answer->bytes + answer->taken;
        size_t length = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
        if (answer->size - answer->taken < PREFIX + length) break;
        take_frame(link, head + PREFIX, head + PREFIX + length);
        answer->taken += PREFIX + length;
    }
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
                     const uint8_t *text, size_t size, uint8_t flags, void *user) {
    (void)flags, (void)user;
    if (name_size != 11 || memcmp(name, "grpc-status", 11) != 0) return 0;
    if (opt.protocol == BATCH) die(1, "the stream ended with status %.*s", (int)size, (const char *)text);
    struct call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (call) call->status = atoi((const char *)text);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t error, void *user) {
    (void)error, (void)user;
    if (opt.protocol == BATCH) die(1, "the stream was closed");
    struct call *call = nghttp2_session_get_stream_user_data(session, stream);
    call->link->unanswered--;
    unanswered_total--;
    if (call->status != 0) {
        failed += measuring;
    } else {
        answered(call->sent_ns, now_ns());
        if (call->answer.size >= PREFIX)
            judge(call->answer.bytes + PREFIX, call->answer.bytes + call->answer.size, call->is_read);
    }
    if (has_next(call->link)) begin_call(call);
    return 0;
}

/* ---------------------------------------------------------------- sockets */

static void watch(struct link *link, bool awaits_room) {
    link->awaits_room = awaits_room;
    struct epoll_event event = {EPOLLIN | (awaits_room ? EPOLLOUT : 0), {.ptr = link}};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, link->socket, &event);
}

static void send_all(struct link *link) {
    struct buffer *unsent = &link->unsent;
    for (;;) {
        const uint8_t *bytes;
        ssize_t size = 0;
        while (unsent->size - unsent->taken < SEND_BYTES && (size = nghttp2_session_mem_send(link->session, &bytes)) > 0) {
            memcpy(room_for(unsent, (size_t)size), bytes, (size_t)size);
            unsent->size += (size_t)size;
        }
        if (size < 0) die(1, "%s: %s", link->authority, nghttp2_strerror((int)size));
        if (unsent->taken == unsent->size) break;
        ssize_t sent = send(link->socket, unsent->bytes + unsent->taken, unsent->size - unsent->taken, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) die(1, "%s: %s", link->authority, strerror(errno));
        if (sent < 0) {
            if (!link->awaits_room) watch(link, true);
            return;
        }
        unsent->taken += (size_t)sent;
    }
    if (link->awaits_room) watch(link, false);
}

static void receive(struct link *link) {
    static uint8_t bytes[READ_BYTES];
    ssize_t size = recv(link->socket, bytes, sizeof bytes, 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) die(1, "%s closed the connection", link->authority);
    ssize_t used = nghttp2_session_mem_recv(link->session, bytes, (size_t)size);
    if (used < 0) die(1, "%s: %s", link->authority, nghttp2_strerror((int)used));
}

static void connect_link(struct link *link) {
    char host[256];
    char *colon = strrchr(link->authority, ':');
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_INET}, *found;
    if (!colon) die(2, "%s: want HOST:PORT", link->authority);
    snprintf(host, sizeof host, "%.*s", (int)(colon - link->authority), link->authority);
    if (getaddrinfo(host, colon + 1, &hints, &found)) die(2, "%s: no such host", link->authority);
    link->socket = socket(found->ai_family, SOCK_STREAM, 0);
    if (connect(link->socket, found->ai_addr, found->ai_addrlen)) die(1, "%s: %s", link->authority, strerror(errno));
    freeaddrinfo(found);
    int on = 1;
    setsockopt(link->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(link->socket, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {EPOLLIN, {.ptr = link}};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, link->socket, &event);
}

static void open_link(struct link *link, nghttp2_session_callbacks *callbacks) {
    connect_link(link);
    nghttp2_session_client_new(&link->session, callbacks, link);
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES},
                                         {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
    nghttp2_submit_settings(link->session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(link->session, NGHTTP2_FLAG_NONE, 0, WINDOW_BYTES);
    link->id_mask = 1;
    while (link->id_mask < (uint64_t)link->window * 4 + (uint64_t)opt.frame) link->id_mask *= 2;
    link->sent_ns = calloc(link->id_mask, sizeof *link->sent_ns);
    link->id_mask--;
    link->next_id = 1;
    if (opt.protocol == BATCH) {
        link->stream = begin_stream(link, "/tikvpb.Tikv/BatchCommands", &link->request, link);
        send_frames(link);
    }
    for (int i = 0; opt.protocol != BATCH && i < link->window && has_next(link); i++) {
        struct call *call = calloc(1, sizeof *call);
        call->link = link;
        begin_call(call);
    }
    send_all(link);
}

/* Every host that has keys gets its share of the operations in flight, and every connection its share of that. */
static void open_links(void) {
    int used = 0, opened = 0;
    for (int host = 0; host < opt.hosts; host++) used += pick_count[host] > 0;
    int share = used * opt.connections;
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    links = calloc((size_t)share, sizeof *links);
    for (int host = 0; host < opt.hosts; host++) {
        for (int i = 0; i < opt.connections && pick_count[host]; i++) {
            struct link *link = &links[link_count++];
            int window = opt.in_flight * (opened + 1) / share - opt.in_flight * opened / share;
            *link = (struct link){.host = host, .authority = opt.host[host], .window = window};
            opened++;
        }
    }
    for (int i = 0; i < link_count; i++)
        if (links[i].window) open_link(&links[i], callbacks);
}

/* ---------------------------------------------------------------- main */

static void turn(void) {
    struct epoll_event events[64];
    int count = epoll_wait(epoll_fd, events, 64, 50);
    for (int i = 0; i < count; i++) {
        struct link *link = events[i].data.ptr;
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(link);
        if (opt.protocol == BATCH) send_frames(link);
        send_all(link);
    }
}

static void report(double seconds, double cpu, double servers_cpu) {
    printf("{\"ops_per_s\": %.1f, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"p999_ms\": %.4f, \"operations\": %lu, ",
           (double)operations / seconds, percentile(.5), percentile(.99), percentile(.999), operations);
    printf("\"errors\": %lu, \"missing\": %lu, \"seconds\": %.3f, \"generator_cpu_s\": %.3f, \"server_cpu_s\": %.3f}\n",
           failed, missing, seconds, cpu, servers_cpu);
}

static void run(void) {
    uint64_t begin = now_ns(), end;
    double warm_up = opt.fill ? 0 : opt.warm_up;
    while ((double)(now_ns() - begin) < warm_up * 1e9) turn();
    measuring = true;
    begin = now_ns();
    double cpu = own_cpu(), servers_cpu = cpu_of_pids();
    while (opt.fill ? unanswered_total > 0 : (double)(now_ns() - begin) < opt.seconds * 1e9) turn();
    end = now_ns();
    measuring = false;
    stopping = true;
    report((double)(end - begin) / 1e9, own_cpu() - cpu, cpu_of_pids() - servers_cpu);
    fflush(stdout);
    /* What is under way is let finish: the next run begins with idle servers. */
    for (uint64_t patience = now_ns() + 2000000000u; unanswered_total && now_ns() < patience;) turn();
}

static void parse(int count, char **words) {
    static const struct option known[] = {
        {"protocol", 1, 0, 'p'}, {"routes", 1, 0, 'f'}, {"in-flight", 1, 0, 'm'}, {"connections", 1, 0, 'c'},
        {"frame", 1, 0, 'b'}, {"reads", 1, 0, 'r'}, {"keys", 1, 0, 'n'}, {"value-bytes", 1, 0, 's'},
        {"seconds", 1, 0, 't'}, {"warm-up", 1, 0, 'w'}, {"fill", 0, 0, 'F'}, {"pids", 1, 0, 'P'}, {0, 0, 0, 0}};
    const char *file = NULL;
    for (int found; (found = getopt_long(count, words, "", known, NULL)) != -1;) {
        switch (found) {
            case 'p': opt.protocol = *optarg == 'e' ? ETCD : *optarg == 'u' ? UNARY : BATCH; break;
            case 'f': file = optarg; break;
            case 'm': opt.in_flight = atoi(optarg); break;
            case 'c': opt.connections = atoi(optarg); break;
            case 'b': opt.frame = atoi(optarg); break;
            case 'r': opt.reads = atoi(optarg); break;
            case 'n': opt.keys = (uint32_t)strtoul(optarg, NULL, 10); break;
            case 's': opt.value_bytes = strtoul(optarg, NULL, 10); break;
            case 't': opt.seconds = atof(optarg); break;
            case 'w': opt.warm_up = atof(optarg); break;
            case 'F': opt.fill = true; break;
            case 'P':
                for (char *pid = strtok(optarg, ","); pid && opt.pids < PIDS_MAX; pid = strtok(NULL, ","))
                    opt.pid[opt.pids++] = atoi(pid);
                break;
            default: exit(2);
        }
    }
    while (optind < count && opt.hosts < HOSTS_MAX) opt.host[opt.hosts++] = words[optind++];
    if (!opt.hosts || opt.in_flight < 1 || opt.connections < 1 || opt.frame < 1 || !opt.keys || opt.seconds <= 0)
        die(2, "want addresses, and positive numbers; the head of flareload.c says how");
    if (opt.protocol != ETCD) {
        if (!file) die(2, "--routes is missing");
        read_routes(file);
    }
}

int main(int count, char **words) {
    parse(count, words);
    chance_state = now_ns() ^ (uint64_t)getpid() << 32;
    value = grown(NULL, opt.value_bytes + 1);
    for (size_t i = 0; i < opt.value_bytes; i++) value[i] = (uint8_t)('a' + chance() % 26);
    deal_keys();
    epoll_fd = epoll_create1(0);
    open_links();
    run();
    return 0;
}
