//! A real database through deadpool's manager for it. Not built where its C compiler may be missing;
//! see the manifest.

use std::{collections::BTreeSet, path::Path, time::Duration};

use deadpool_sqlite::{Config, Manager as Sqlite, Runtime};
use pool_core::{AcquireError, FromDeadpool, Guard, Manager, Pool};

type SqlitePool = Pool<FromDeadpool<Sqlite>>;

fn pool(directory: &Path, max_size: usize) -> SqlitePool {
    let config = Config::new(directory.join("test.db"));
    Pool::builder(FromDeadpool::new(Sqlite::from_config(
        &config,
        Runtime::Tokio1,
    )))
    .max_size(max_size)
    .build()
    .unwrap()
}

async fn count(pool: &SqlitePool) -> i64 {
    let connection = pool.acquire().await.unwrap();
    let counted =
        connection.interact(|db| db.query_row("SELECT count(*) FROM words", [], |row| row.get(0)));
    counted.await.unwrap().unwrap()
}

async fn with_words(directory: &Path, max_size: usize) -> SqlitePool {
    let pool = pool(directory, max_size);
    let connection = pool.acquire().await.unwrap();
    let made = connection.interact(|db| {
        // Writers wait for each other instead of failing.
        db.busy_timeout(Duration::from_secs(30))?;
        db.execute_batch("CREATE TABLE words (word TEXT NOT NULL)")
    });
    made.await.unwrap().unwrap();
    drop(connection);
    pool
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_share_few_connections() {
    let directory = tempfile::tempdir().unwrap();
    let pool = with_words(directory.path(), 3).await;
    let callers: Vec<_> = (0..20)
        .map(|number| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let connection = pool.acquire().await.unwrap();
                assert!(pool.status().size <= 3);
                let written = connection.interact(move |db| {
                    db.busy_timeout(Duration::from_secs(30))?;
                    db.execute("INSERT INTO words VALUES (?1)", [number.to_string()])
                });
                assert_eq!(written.await.unwrap().unwrap(), 1);
                Guard::id(&connection)
            })
        })
        .collect();
    let mut ids = BTreeSet::new();
    for caller in callers {
        ids.insert(caller.await.unwrap());
    }
    assert_eq!(count(&pool).await, 20);
    // None was refused by deadpool's own check, which asks the database.
    assert!(ids.len() <= 3, "{ids:?}");
    pool.drain(Duration::from_secs(30)).await.unwrap();
}

#[tokio::test]
async fn a_broken_connection_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let pool = with_words(directory.path(), 1).await;
    let connection = pool.acquire().await.unwrap();
    let broken = Guard::id(&connection);
    let panicked = connection.interact(|_| panic!("in the middle of it")).await;
    assert!(panicked.is_err() && connection.is_mutex_poisoned());
    drop(connection);
    // deadpool's check refuses it; the caller gets one that works.
    assert_eq!(count(&pool).await, 0);
    let connection = pool.acquire().await.unwrap();
    assert_ne!(Guard::id(&connection), broken);
    assert_eq!((pool.status().size, pool.status().in_use), (1, 1));
}

#[tokio::test]
async fn a_database_that_is_not_there_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let pool = pool(&directory.path().join("missing"), 1);
    let AcquireError::Create(error) = pool.acquire().await.unwrap_err() else {
        panic!("it is the create that fails");
    };
    let explanation = pool.manager().explain(&error);
    assert!(explanation.contains("unable to open"), "{explanation}");
    assert_eq!(pool.status().size, 0);
}
