// Command rawkv drives a FlareDB cluster with TiKV's official Go client and exits non-zero at the first wrong answer.
//
//	go run . 127.0.0.1:2379
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/tikv/client-go/v2/config"
	"github.com/tikv/client-go/v2/rawkv"
)

const rows = 2000

func key(i int) []byte { return []byte(fmt.Sprintf("go-%05d", i)) }

func must(err error, what string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

func check(ok bool, what string, got ...any) {
	if !ok {
		fmt.Fprintln(os.Stderr, append([]any{"wrong answer:", what}, got...)...)
		os.Exit(1)
	}
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: rawkv PD_ADDRESS")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	client, err := rawkv.NewClient(ctx, []string{os.Args[1]}, config.DefaultConfig().Security)
	must(err, "connect")
	defer client.Close()

	must(client.Put(ctx, []byte("go"), []byte("hello")), "put")
	value, err := client.Get(ctx, []byte("go"))
	must(err, "get")
	check(string(value) == "hello", "get", value)
	value, err = client.Get(ctx, []byte("go-missing"))
	must(err, "get of a missing key")
	check(value == nil, "a missing key is nil", value)

	keys, values := make([][]byte, rows), make([][]byte, rows)
	for i := range keys {
		keys[i], values[i] = key(i), []byte(fmt.Sprint(i))
	}
	must(client.BatchPut(ctx, keys, values), "batch put")
	got, err := client.BatchGet(ctx, keys)
	must(err, "batch get")
	for i := range keys {
		check(bytes.Equal(got[i], values[i]), "batch get", i, got[i])
	}
	scanned, _, err := client.Scan(ctx, key(0), key(rows), rows+1)
	must(err, "scan")
	check(len(scanned) == rows, "scan", len(scanned))
	reversed, _, err := client.ReverseScan(ctx, key(rows), key(0), 10)
	must(err, "reverse scan")
	check(len(reversed) == 10 && bytes.Equal(reversed[0], key(rows-1)), "reverse scan", reversed)

	client.SetAtomicForCAS(true)
	previous, swapped, err := client.CompareAndSwap(ctx, []byte("go-cas"), nil, []byte("1"))
	must(err, "compare and swap")
	check(swapped && previous == nil, "compare and swap of a missing key", previous, swapped)
	previous, swapped, err = client.CompareAndSwap(ctx, []byte("go-cas"), []byte("2"), []byte("3"))
	must(err, "compare and swap")
	check(!swapped && string(previous) == "1", "compare and swap that must fail", previous, swapped)
	client.SetAtomicForCAS(false)

	sum, err := client.Checksum(ctx, key(0), key(rows))
	must(err, "checksum")
	check(sum.TotalKvs == rows, "checksum", sum)

	must(client.DeleteRange(ctx, key(0), key(rows/2)), "delete range")
	must(client.BatchDelete(ctx, keys[rows/2:rows-1]), "batch delete")
	must(client.Delete(ctx, []byte("go-cas")), "delete")
	scanned, _, err = client.Scan(ctx, key(0), key(rows), 10)
	must(err, "scan")
	check(len(scanned) == 1 && bytes.Equal(scanned[0], key(rows-1)), "what is left", scanned)
	must(client.DeleteRange(ctx, []byte("go"), []byte("gp")), "clean up")
	fmt.Println("Go client: put, get, batch, scan both ways, compare-and-swap, checksum, delete range: all right")
}
