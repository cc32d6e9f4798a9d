//! How does the cost of acquire and release grow with the size of the pool?
//!
//! A curve and not a comparison, so criterion draws it: pools of 1 to 1024, with everything idle,
//! and with one object left, which is where a search through the others would show.

use std::hint::black_box;
use std::time::Duration;

use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main, measurement::WallTime,
};
use pool_bench::lender::{Deadpool, PoolGuard};
use pool_bench::{Flavor, Lender};
use tokio::runtime::Runtime;

const SIZES: [usize; 6] = [1, 4, 16, 64, 256, 1024];

/// How much of the pool is lent elsewhere while the time is taken.
#[derive(Clone, Copy)]
enum Lent {
    Nothing,
    AllButOne,
}

criterion_group!(curve, acquire);
criterion_main!(curve);

fn acquire(criterion: &mut Criterion) {
    let runtime = Flavor::CurrentThread.runtime();
    for (name, lent) in [("all idle", Lent::Nothing), ("one idle", Lent::AllButOne)] {
        let mut group = criterion.benchmark_group(name);
        group.warm_up_time(Duration::from_millis(500));
        group.measurement_time(Duration::from_secs(2));
        for size in SIZES {
            point(&mut group, &runtime, &PoolGuard::new(size), size, lent);
            point(&mut group, &runtime, &Deadpool::new(size), size, lent);
        }
        group.finish();
    }
}

fn point<L: Lender>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    lender: &L,
    size: usize,
    lent: Lent,
) {
    let lent = match lent {
        Lent::Nothing => 0,
        Lent::AllButOne => size - 1,
    };
    let leases = runtime.block_on(async {
        lender.fill().await;
        let mut leases = Vec::with_capacity(lent);
        for _ in 0..lent {
            leases.push(lender.lend().await);
        }
        leases
    });
    let id = BenchmarkId::new(lender.name(), size);
    group.bench_function(id, |bencher| {
        bencher.to_async(runtime).iter(async || {
            let lease = lender.lend().await;
            black_box(&lease);
        });
    });
    drop(leases);
}
