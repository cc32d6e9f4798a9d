//! Managers of deadpool's in our pools, one of them for a real database.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use deadpool::managed::{self, RecycleResult};
use pool_core::{AcquireError, DeadpoolObject, FromDeadpool, Guard, Manager, Pool, Reason};

use crate::scripted::{Gate, assert_sound, poll, ready};

/// Numbers that pass their check when the gate opens.
#[derive(Debug, Default)]
struct Numbers {
    made: AtomicUsize,
    detached: Arc<AtomicUsize>,
    gate: Option<Gate>,
}

impl managed::Manager for Numbers {
    type Type = usize;
    /// Not `Display`, not an error.
    type Error = ();

    async fn create(&self) -> Result<usize, ()> {
        Ok(self.made.fetch_add(1, SeqCst))
    }

    async fn recycle(&self, _: &mut usize, _: &managed::Metrics) -> RecycleResult<()> {
        if let Some(gate) = &self.gate {
            gate.pass().await;
        }
        Ok(())
    }

    fn detach(&self, _: &mut usize) {
        self.detached.fetch_add(1, SeqCst);
    }
}

fn pool(numbers: Numbers) -> Pool<FromDeadpool<Numbers>> {
    Pool::builder(FromDeadpool::unexplained(numbers))
        .max_size(1)
        .build()
        .unwrap()
}

#[test]
fn a_check_sees_the_metrics_that_deadpool_would_give() {
    let pool = pool(Numbers::default());
    let first = ready(pool.acquire()).unwrap();
    let metrics = *DeadpoolObject::metrics(&first);
    assert_eq!((metrics.recycle_count, metrics.recycled), (0, None));
    drop(first);
    let second = ready(pool.acquire()).unwrap();
    let reused = *DeadpoolObject::metrics(&second);
    assert_eq!(reused.recycle_count, 1);
    assert_eq!(reused.created, metrics.created);
    assert!(reused.recycled.is_some_and(|at| at >= metrics.created));
}

#[test]
fn what_was_in_a_check_that_was_cut_short_is_never_lent_again() {
    let gate = Gate::new();
    let detached = Arc::new(AtomicUsize::new(0));
    let pool = pool(Numbers {
        gate: Some(gate.clone()),
        detached: Arc::clone(&detached),
        ..Numbers::default()
    });
    drop(ready(pool.acquire()).unwrap());
    let mut cut_short = pool.acquire();
    assert!(poll(&mut cut_short).is_pending());
    drop(cut_short);
    // The gate would let the old one through.
    gate.open();
    assert_eq!(**ready(pool.acquire()).unwrap(), 1);
    assert_eq!(detached.load(SeqCst), 1);
    assert_sound(&pool);
}

#[test]
fn detach_is_called_for_all_that_the_pool_ends() {
    let detached = Arc::new(AtomicUsize::new(0));
    let pool = pool(Numbers {
        detached: Arc::clone(&detached),
        ..Numbers::default()
    });
    let kept = DeadpoolObject::into_inner(Guard::detach(ready(pool.acquire()).unwrap()));
    assert_eq!((kept, detached.load(SeqCst)), (0, 0));
    ready(Guard::discard(ready(pool.acquire()).unwrap()));
    assert_eq!(detached.load(SeqCst), 1);
    let last = Guard::detach(ready(pool.acquire()).unwrap());
    pool.manager().abandon(last, Reason::Closed);
    assert_eq!(detached.load(SeqCst), 2);
    drop(ready(pool.acquire()).unwrap());
    pool.close();
    assert_eq!(detached.load(SeqCst), 3);
}

/// SQLite is not built where its C compiler may be missing; see the manifest.
#[cfg(not(target_vendor = "apple"))]
mod sqlite {
    use deadpool_sqlite::{Config, Manager as Sqlite, Runtime};

    use super::*;

    type SqlitePool = Pool<FromDeadpool<Sqlite>>;

    fn pool(directory: &std::path::Path, max_size: usize) -> SqlitePool {
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
        let counted = connection
            .interact(|db| db.query_row("SELECT count(*) FROM words", [], |row| row.get(0)));
        counted.await.unwrap().unwrap()
    }

    async fn with_words(directory: &std::path::Path, max_size: usize) -> SqlitePool {
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
}
