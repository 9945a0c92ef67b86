//! TiKV's official Rust client against a FlareDB cluster: every raw call it has, and what each must answer.
//!
//!     cargo run --release -- 127.0.0.1:2379

use std::collections::HashMap;
use std::error::Error;
use std::ops::Bound;
use tikv_client::{BoundRange, ColumnFamily, Key, KvPair, RawClient, Value};

type Done = Result<(), Box<dyn Error>>;

const ROWS: usize = 600;

fn key(number: usize) -> Vec<u8> {
    format!("rust/{number:05}").into_bytes()
}

/// All keys of this program: [rust/, rust0).
fn everything() -> BoundRange {
    range(b"rust/", b"rust0")
}

fn range(start: &[u8], end: &[u8]) -> BoundRange {
    BoundRange::new(
        Bound::Included(Key::from(start.to_vec())),
        Bound::Excluded(Key::from(end.to_vec())),
    )
}

fn keys_of(pairs: &[KvPair]) -> Vec<Vec<u8>> {
    pairs.iter().map(|pair| Vec::from(pair.key().clone())).collect()
}

async fn one_by_one(client: &RawClient) -> Done {
    client.put(key(1), "one").await?;
    assert_eq!(client.get(key(1)).await?, Some(Value::from("one")));
    assert_eq!(client.get(key(2)).await?, None);
    client.put(key(1), "").await?;
    assert_eq!(client.get(key(1)).await?, Some(Value::new()), "an empty value is a value");
    client.delete(key(1)).await?;
    assert_eq!(client.get(key(1)).await?, None);
    client.delete(key(1)).await?;
    println!("put, get, delete");
    Ok(())
}

async fn batches(client: &RawClient) -> Done {
    let pairs: Vec<KvPair> = (0..ROWS).map(|n| KvPair::new(key(n), format!("value {n}"))).collect();
    client.batch_put(pairs).await?;
    let found = client.batch_get((0..ROWS + 5).map(key)).await?;
    let by_key: HashMap<Vec<u8>, Value> =
        found.into_iter().map(|KvPair(key, value)| (Vec::from(key), value)).collect();
    assert_eq!(by_key.len(), ROWS);
    assert_eq!(by_key[&key(77)], b"value 77");
    println!("batch_put, batch_get of {ROWS} rows");
    Ok(())
}

/// Never asks for more rows than there are: where the last region ends before the limit is reached, the client (0.4.0)
/// takes the region's end, which is empty, for the next key, and begins again with the first.
async fn scans(client: &RawClient) -> Done {
    let found = client.scan(everything(), ROWS as u32).await?;
    assert_eq!(keys_of(&found), (0..ROWS).map(key).collect::<Vec<_>>());
    let few = client.scan(range(&key(10), &key(20)), 10).await?;
    assert_eq!(keys_of(&few), (10..20).map(key).collect::<Vec<_>>());
    let names = client.scan_keys(range(&key(0), &key(3)), 3).await?;
    assert_eq!(names.len(), 3);
    let backwards = client.scan_reverse(range(&key(10), &key(20)), 3).await?;
    assert_eq!(keys_of(&backwards), [key(19), key(18), key(17)]);
    let parts = client.batch_scan([range(&key(0), &key(5)), range(&key(100), &key(105))], 2).await?;
    assert_eq!(keys_of(&parts), [key(0), key(1), key(100), key(101)]);
    println!("scan, scan_keys, scan_reverse, batch_scan");
    Ok(())
}

async fn compare_and_swap(client: &RawClient) -> Done {
    let atomic = client.with_atomic_for_cas();
    let (before, swapped) = atomic.compare_and_swap(key(0), Value::from("no"), "new").await?;
    assert_eq!((before, swapped), (Some(Value::from("value 0")), false));
    let (before, swapped) = atomic.compare_and_swap(key(0), Value::from("value 0"), "new").await?;
    assert_eq!((before, swapped), (Some(Value::from("value 0")), true));
    let (before, swapped) = atomic.compare_and_swap(key(ROWS), None, "first").await?;
    assert_eq!((before, swapped), (None, true));
    assert_eq!(client.get(key(0)).await?, Some(Value::from("new")));
    println!("compare_and_swap");
    Ok(())
}

async fn removal(client: &RawClient) -> Done {
    client.batch_delete((0..10).map(key)).await?;
    assert_eq!(client.scan(everything(), 1).await?[0].key(), &Key::from(key(10)));
    client.delete_range(range(&key(10), &key(300))).await?;
    assert_eq!(client.scan(everything(), 1).await?[0].key(), &Key::from(key(300)));
    client.delete_range(everything()).await?;
    assert!(client.batch_get((0..=ROWS).map(key)).await?.is_empty());
    println!("batch_delete, delete_range");
    Ok(())
}

#[tokio::main]
async fn main() -> Done {
    let pd = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:2379".to_string());
    let client = RawClient::new(vec![pd]).await?.with_cf(ColumnFamily::Default);
    client.delete_range(everything()).await?;
    one_by_one(&client).await?;
    batches(&client).await?;
    scans(&client).await?;
    compare_and_swap(&client).await?;
    removal(&client).await?;
    println!("the Rust client is content");
    Ok(())
}
