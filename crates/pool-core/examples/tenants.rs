//! A database for each tenant, and not more than four connections in all: whichever tenant was quiet for longest
//! makes room for one that calls.

use std::{convert::Infallible, sync::Arc, time::Duration};

use pool_core::{CreateCx, Event, KeyedManager, KeyedPool, Observer, OwnedGuard, Reason};

struct Databases;

struct Connection {
    tenant: Arc<str>,
    queries: u32,
}

impl KeyedManager for Databases {
    type Key = Arc<str>;
    type Resource = Connection;
    type Error = Infallible;

    async fn create(&self, tenant: &Arc<str>, _: &CreateCx) -> Result<Connection, Infallible> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(Connection {
            tenant: Arc::clone(tenant),
            queries: 0,
        })
    }

    async fn destroy(&self, tenant: &Arc<str>, connection: Connection, why: Reason) {
        let queries = connection.queries;
        println!("  {tenant} loses a connection after {queries} queries: {why}");
    }
}

impl Connection {
    async fn query(&mut self) -> usize {
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.queries += 1;
        self.tenant.len()
    }
}

/// Says which tenant's events these are.
struct Connects(Arc<str>);

impl Observer for Connects {
    fn observe(&self, event: &Event<'_>) {
        if let Event::Created { took, .. } = event {
            println!("  {} has a new connection after {took:.0?}", self.0);
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = KeyedPool::builder(Databases)
        .max_total(4)
        .max_per_key(2)
        .observers(|tenant| Some(Arc::new(Connects(Arc::clone(tenant)))))
        .build()?;
    for tenants in [
        &["acme", "acme", "zenith"][..],
        &["initech", "hooli", "acme"],
    ] {
        println!("{}", tenants.join(", "));
        let calls = tenants.iter().map(|tenant| {
            let acquire = pool.acquire(&Arc::from(*tenant));
            tokio::spawn(async move {
                let mut connection = acquire.await.map_err(|error| error.to_string())?;
                let rows = connection.query().await;
                println!("  {}: {rows} rows", OwnedGuard::key(&connection));
                Ok::<(), String>(())
            })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await??;
        }
        println!("  {}", pool.status());
    }
    pool.drain(Duration::from_secs(5)).await?;
    Ok(())
}
