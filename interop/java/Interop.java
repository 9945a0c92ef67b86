import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.tikv.common.TiConfiguration;
import org.tikv.common.TiSession;
import org.tikv.common.exception.RawCASConflictException;
import org.tikv.kvproto.Kvrpcpb.KvPair;
import org.tikv.raw.RawKVClient;
import org.tikv.shade.com.google.protobuf.ByteString;

/** TiKV's official Java client against a FlareDB cluster: the raw calls it has, and what each must answer. */
public final class Interop {
    private static final int ROWS = 600;
    private final RawKVClient client;

    private Interop(RawKVClient client) {
        this.client = client;
    }

    public static void main(String[] arguments) throws Exception {
        TiConfiguration configuration = TiConfiguration.createRawDefault(arguments[0]);
        configuration.setEnableAtomicForCAS(true);
        // Its log of slow batches is written while other threads still add to it (ConcurrentModificationException).
        configuration.setRawKVBatchReadSlowLogInMS(60_000);
        configuration.setRawKVBatchWriteSlowLogInMS(60_000);
        try (TiSession session = TiSession.create(configuration);
                RawKVClient client = session.createRawClient()) {
            client.deletePrefix(bytes("java/"));
            Interop interop = new Interop(client);
            interop.oneByOne();
            interop.batches();
            interop.scans();
            interop.compareAndSet();
            interop.removal();
        }
        System.out.println("the Java client is content");
    }

    private void oneByOne() {
        client.put(key(1), bytes("one"));
        check(client.get(key(1)).equals(Optional.of(bytes("one"))), "get of what was put");
        check(client.get(key(2)).isEmpty(), "get of nothing");
        client.delete(key(1));
        check(client.get(key(1)).isEmpty(), "get of what was deleted");
        client.delete(key(1));
        System.out.println("put, get, delete");
    }

    private void batches() {
        Map<ByteString, ByteString> pairs = new HashMap<>();
        List<ByteString> keys = new ArrayList<>();
        for (int number = 0; number < ROWS; number++) {
            pairs.put(key(number), bytes("value " + number));
            keys.add(key(number));
        }
        client.batchPut(pairs);
        keys.add(key(ROWS));
        List<KvPair> found = client.batchGet(keys);
        check(found.size() == ROWS, "batchGet finds " + found.size());
        for (KvPair pair : found) {
            check(pair.getValue().equals(pairs.get(pair.getKey())), "batchGet of " + pair.getKey().toStringUtf8());
        }
        System.out.println("batchPut, batchGet of " + ROWS + " rows");
    }

    private void scans() {
        List<KvPair> all = client.scanPrefix(bytes("java/"));
        check(all.size() == ROWS, "scanPrefix finds " + all.size());
        for (int number = 0; number < ROWS; number++) {
            check(all.get(number).getKey().equals(key(number)), "row " + number + " of scanPrefix");
        }
        List<KvPair> few = client.scan(key(10), key(20), 100);
        check(few.size() == 10 && few.get(0).getKey().equals(key(10)), "scan of a range");
        List<KvPair> names = client.scan(key(0), key(3), true);
        check(names.size() == 3 && names.get(0).getValue().isEmpty(), "scan of keys");
        System.out.println("scan, scanPrefix");
    }

    private void compareAndSet() {
        try {
            client.compareAndSet(key(0), Optional.of(bytes("no")), bytes("new"));
            check(false, "compareAndSet with another value before");
        } catch (RawCASConflictException conflict) {
            check(conflict.getPrevValue().equals(Optional.of(bytes("value 0"))), "the value that a conflict tells");
        }
        client.compareAndSet(key(0), Optional.of(bytes("value 0")), bytes("new"));
        check(client.get(key(0)).equals(Optional.of(bytes("new"))), "compareAndSet");
        check(client.putIfAbsent(key(0), bytes("late")).equals(Optional.of(bytes("new"))), "putIfAbsent of a pair");
        check(client.putIfAbsent(key(ROWS), bytes("first")).isEmpty(), "putIfAbsent of nothing");
        System.out.println("compareAndSet, putIfAbsent");
    }

    private void removal() {
        List<ByteString> keys = new ArrayList<>();
        for (int number = 0; number < 10; number++) {
            keys.add(key(number));
        }
        client.batchDelete(keys);
        check(client.scanPrefix(bytes("java/"), 1, true).get(0).getKey().equals(key(10)), "batchDelete");
        client.deleteRange(key(10), key(300));
        check(client.scanPrefix(bytes("java/"), 1, true).get(0).getKey().equals(key(300)), "deleteRange");
        client.deletePrefix(bytes("java/"));
        check(client.scanPrefix(bytes("java/")).isEmpty(), "deletePrefix");
        System.out.println("batchDelete, deleteRange, deletePrefix");
    }

    private static ByteString key(int number) {
        return bytes(String.format("java/%05d", number));
    }

    private static ByteString bytes(String text) {
        return ByteString.copyFromUtf8(text);
    }

    private static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }
}
