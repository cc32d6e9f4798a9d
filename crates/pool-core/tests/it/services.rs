//! A pool as a service of tower's, a semaphore as a layer, and tower's own layers above them.

use std::{
    future::{Future, Ready, pending},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use pool_core::{
    AcquireError, LimitLayer, LimitService, OwnedGuard, PermitError, Pool, PoolService, Priority,
    Reason, Semaphore,
};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt, load_shed::error::Overloaded,
    retry::Policy, service_fn, timeout::error::Elapsed,
};

use crate::scripted::{Gate, Scripted, Step, poll, ready};

type Boxed<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Answers with the number of the thing and the request.
async fn number(thing: OwnedGuard<Scripted>, request: u32) -> Result<(usize, u32), BoxError> {
    Ok((thing.number, request))
}

async fn never(_thing: OwnedGuard<Scripted>, _: u32) -> Result<(usize, u32), BoxError> {
    pending().await
}

/// What `poll_ready` says.
fn is_ready<S: Service<u32>>(service: &mut S) -> Poll<Result<(), S::Error>> {
    service.poll_ready(&mut Context::from_waker(Waker::noop()))
}

fn pool_error(error: &BoxError) -> &AcquireError<crate::scripted::Told> {
    error.downcast_ref().expect("an error of the pool")
}

#[test]
fn a_request_is_answered_with_a_resource() {
    let service = PoolService::new(Scripted::default().pool(1), number);
    assert_eq!(ready(service.clone().oneshot(7)).unwrap(), (0, 7));
    assert_eq!(ready(service.oneshot(8)).unwrap(), (0, 8));
}

#[tokio::test]
async fn a_call_outlives_its_service_and_the_pool_does_not() {
    let gate = Gate::new();
    let manager = Scripted::default().on_create(Step::Gate(gate.clone()));
    let mut service = PoolService::new(manager.pool(1), number);
    let mut call = Box::pin(service.call(1));
    drop(service);
    assert!(poll(&mut call).is_pending());
    gate.open();
    assert_eq!(call.await.unwrap(), (0, 1));
    assert_eq!(manager.seen().live(), 0);
}

#[test]
fn a_ready_service_keeps_no_resource() {
    let mut first = PoolService::new(Scripted::default().pool(1), number);
    let mut second = first.clone();
    assert!(is_ready(&mut first).is_ready() && is_ready(&mut second).is_ready());
    // Nor does a call that nobody polls.
    let call = first.call(1);
    assert_eq!(first.pool().status().size, 0);
    assert_eq!(ready(second.call(2)).unwrap(), (0, 2));
    assert_eq!(ready(call).unwrap(), (0, 1));
}

#[test]
fn a_closed_pool_is_the_end_of_the_service() {
    let mut service = PoolService::new(Scripted::default().pool(1), number);
    service.pool().close();
    let Poll::Ready(Err(error)) = is_ready(&mut service) else {
        panic!("it cannot get ready");
    };
    assert!(pool_error(&error).is_closed());
}

#[test]
fn a_failed_create_is_the_answer_to_one_request() {
    let pool = Scripted::default().on_create(Step::Fail).pool(1);
    let mut service = PoolService::new(pool, number);
    let error = ready(service.call(1)).unwrap_err();
    assert!(matches!(pool_error(&error), AcquireError::Create(_)));
    assert!(matches!(is_ready(&mut service), Poll::Ready(Ok(()))));
    assert_eq!(ready(service.call(2)).unwrap(), (1, 2));
}

#[test]
fn holders_are_named_by_the_line_that_built_the_service() {
    let pool = Scripted::default().pool(1);
    let mut service = PoolService::new(pool.clone(), never);
    let line = line!() - 1;
    let mut call = Box::pin(service.call(1));
    assert!(poll(&mut call).is_pending());
    let error = pool.drain(Duration::ZERO).wait().unwrap_err();
    let at = error.holders[0].acquired_at;
    assert_eq!((at.file(), at.line()), (file!(), line));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_service_goes_before_that_of_its_pool() {
    let pool = Scripted::default().pool(1);
    let _held = pool.acquire().await.unwrap();
    let service = PoolService::new(pool.clone(), number).with_deadline(Duration::from_secs(1));
    let begun = tokio::time::Instant::now();
    let error = service.oneshot(1).await.unwrap_err();
    assert!(pool_error(&error).is_timeout());
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_service_may_wait_in_another_class() {
    let pool = Scripted::default().pool(1);
    let held = ready(pool.acquire()).unwrap();
    let mut usual = PoolService::new(pool.clone(), number);
    let mut urgent = usual.clone().with_priority(Priority::High);
    let (mut first, mut second) = (Box::pin(usual.call(1)), Box::pin(urgent.call(2)));
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    drop(held);
    assert!(poll(&mut first).is_pending());
    assert_eq!(ready(second).unwrap(), (0, 2));
    assert_eq!(ready(first).unwrap(), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_above_ends_the_wait_for_a_resource() {
    let pool = Scripted::default().pool(1);
    let held = pool.acquire().await.unwrap();
    let service = ServiceBuilder::new()
        .timeout(Duration::from_secs(1))
        .service(PoolService::new(pool.clone(), number));
    let error = service.clone().oneshot(1).await.unwrap_err();
    assert!(error.is::<Elapsed>());
    assert_eq!(pool.status().waiting, 0);
    drop(held);
    assert_eq!(service.oneshot(2).await.unwrap(), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_above_gives_the_resource_of_an_answer_back() {
    let pool = Scripted::default().pool(1);
    let service = ServiceBuilder::new()
        .timeout(Duration::from_secs(1))
        .service(PoolService::new(pool.clone(), never));
    let error = service.oneshot(1).await.unwrap_err();
    assert!(error.is::<Elapsed>());
    assert_eq!((pool.status().idle, pool.status().in_use), (1, 0));
}

/// Tries this many times more.
#[derive(Clone)]
struct Again(usize);

impl<T> Policy<u32, T, BoxError> for Again {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut u32, result: &mut Result<T, BoxError>) -> Option<Ready<()>> {
        if result.is_ok() || self.0 == 0 {
            return None;
        }
        self.0 -= 1;
        Some(std::future::ready(()))
    }

    fn clone_request(&mut self, request: &u32) -> Option<u32> {
        Some(*request)
    }
}

/// Fails the first time, and breaks what it had.
fn fails_once() -> impl Fn(OwnedGuard<Scripted>, u32) -> Boxed<(usize, u32)> {
    let calls = AtomicUsize::new(0);
    move |mut thing, request| {
        let first = calls.fetch_add(1, SeqCst) == 0;
        Box::pin(async move {
            if first {
                OwnedGuard::poison(&mut thing, Reason::Broken);
                return Err("broken".into());
            }
            Ok((thing.number, request))
        })
    }
}

#[test]
fn a_retry_above_has_another_resource() {
    let manager = Scripted::default();
    let service = ServiceBuilder::new()
        .retry(Again(1))
        .service(PoolService::new(manager.pool(1), fails_once()));
    assert_eq!(ready(service.clone().oneshot(5)).unwrap(), (1, 5));
    assert_eq!(manager.seen().destroyed(), [Reason::Broken]);
}

#[test]
fn a_retry_above_helps_against_a_failed_create() {
    let pool = Scripted::default().on_create(Step::Fail).pool(1);
    let service = ServiceBuilder::new()
        .retry(Again(1))
        .service(PoolService::new(pool, number));
    assert_eq!(ready(service.oneshot(5)).unwrap(), (1, 5));
}

/// Answers with the request when the gate opens.
#[derive(Clone)]
struct Gated(Gate);

impl Service<u32> for Gated {
    type Response = u32;
    type Error = BoxError;
    type Future = Boxed<u32>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Boxed<u32> {
        let gate = self.0.clone();
        Box::pin(async move {
            gate.pass().await;
            Ok(request)
        })
    }
}

fn limited(semaphore: &Arc<Semaphore>, gate: &Gate) -> LimitService<Gated> {
    LimitLayer::new(Arc::clone(semaphore)).layer(Gated(gate.clone()))
}

#[test]
fn a_permit_is_held_until_the_response_is_there() {
    let (semaphore, gate) = (Arc::new(Semaphore::new(1)), Gate::new());
    let mut service = limited(&semaphore, &gate);
    assert!(is_ready(&mut service).is_ready());
    let mut call = pin!(service.call(1));
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(cx).is_pending());
    assert_eq!(semaphore.available(), 0);
    gate.open();
    assert!(matches!(call.as_mut().poll(cx), Poll::Ready(Ok(1))));
    // The future is still there.
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn a_dropped_response_gives_its_permit_back() {
    let semaphore = Arc::new(Semaphore::new(1));
    let mut service = limited(&semaphore, &Gate::new());
    assert!(is_ready(&mut service).is_ready());
    let call = service.call(1);
    assert_eq!(semaphore.available(), 0);
    drop(call);
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn a_clone_has_no_part_in_the_reservation() {
    let (semaphore, gate) = (Arc::new(Semaphore::new(1)), Gate::new());
    let mut first = limited(&semaphore, &gate);
    assert!(is_ready(&mut first).is_ready());
    let mut second = first.clone();
    assert!(is_ready(&mut second).is_pending());
    assert_eq!(semaphore.waiting(), 1);
    drop(first);
    assert!(is_ready(&mut second).is_ready());
    gate.open();
    assert_eq!(ready(second.call(2)).unwrap(), 2);
}

#[test]
fn asking_again_keeps_the_place_in_the_queue() {
    let semaphore = Arc::new(Semaphore::new(1));
    let held = semaphore.try_acquire().unwrap();
    let mut first = limited(&semaphore, &Gate::new());
    let mut second = first.clone();
    for _ in 0..3 {
        assert!(is_ready(&mut first).is_pending());
        assert!(is_ready(&mut second).is_pending());
    }
    assert_eq!(semaphore.waiting(), 2);
    drop(held);
    assert!(is_ready(&mut second).is_pending());
    assert!(is_ready(&mut first).is_ready());
    // It is ready until it is called.
    assert!(is_ready(&mut first).is_ready());
}

#[test]
fn a_limit_may_have_requests_wait_in_another_class() {
    let semaphore = Arc::new(Semaphore::new(1));
    let held = semaphore.try_acquire().unwrap();
    let usual = LimitLayer::new(Arc::clone(&semaphore));
    let urgent = usual.clone().with_priority(Priority::High);
    let gated = Gated(Gate::new());
    let (mut first, mut second) = (usual.layer(gated.clone()), urgent.layer(gated));
    assert!(is_ready(&mut first).is_pending() && is_ready(&mut second).is_pending());
    drop(held);
    assert!(is_ready(&mut first).is_pending());
    assert!(is_ready(&mut second).is_ready());
}

#[test]
fn a_full_queue_is_the_answer_to_one_call() {
    let semaphore = Arc::new(Semaphore::new(1).with_max_waiters(0));
    let gate = Gate::new();
    let mut service = limited(&semaphore, &gate);
    let held = semaphore.try_acquire().unwrap();
    assert!(matches!(is_ready(&mut service), Poll::Ready(Ok(()))));
    let error = ready(service.call(1)).unwrap_err();
    assert!(matches!(
        error.downcast_ref(),
        Some(PermitError::Saturated { .. })
    ));
    drop(held);
    gate.open();
    assert!(matches!(is_ready(&mut service), Poll::Ready(Ok(()))));
    assert_eq!(ready(service.call(2)).unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_limit_is_the_answer_to_one_call() {
    let semaphore = Arc::new(Semaphore::new(1));
    let _held = semaphore.try_acquire().unwrap();
    let service = LimitLayer::new(Arc::clone(&semaphore))
        .with_deadline(Duration::from_secs(1))
        .layer(service_fn(async |request: u32| Ok::<_, BoxError>(request)));
    let error = service.oneshot(1).await.unwrap_err();
    assert!(error.downcast_ref().is_some_and(PermitError::is_timeout));
    assert_eq!(semaphore.waiting(), 0);
}

#[test]
fn a_closed_semaphore_is_the_end_of_the_service() {
    let semaphore = Arc::new(Semaphore::new(1));
    let mut service = limited(&semaphore, &Gate::new());
    semaphore.close();
    let Poll::Ready(Err(error)) = is_ready(&mut service) else {
        panic!("it cannot get ready");
    };
    assert!(matches!(error.downcast_ref(), Some(PermitError::Closed)));
}

#[test]
fn a_failed_service_keeps_no_permit() {
    struct Failed;
    impl Service<u32> for Failed {
        type Response = u32;
        type Error = BoxError;
        type Future = Ready<Result<u32, BoxError>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Err("failed".into()))
        }
        fn call(&mut self, _: u32) -> Self::Future {
            unreachable!("it is not ready")
        }
    }
    let semaphore = Arc::new(Semaphore::new(1));
    let mut service = LimitLayer::new(Arc::clone(&semaphore)).layer(Failed);
    assert!(matches!(is_ready(&mut service), Poll::Ready(Err(_))));
    assert_eq!(semaphore.available(), 1);
}

#[test]
#[should_panic(expected = "called before `poll_ready` was ready")]
fn a_call_without_a_permit_panics() {
    let mut service = limited(&Arc::new(Semaphore::new(1)), &Gate::new());
    drop(service.call(1));
}

#[test]
fn a_load_shed_above_a_limit_refuses_what_would_wait() {
    let (semaphore, gate) = (Arc::new(Semaphore::new(1)), Gate::new());
    let service = ServiceBuilder::new()
        .load_shed()
        .service(limited(&semaphore, &gate));
    let mut first = Box::pin(service.clone().oneshot(1));
    assert!(poll(&mut first).is_pending());
    let error = ready(service.clone().oneshot(2)).unwrap_err();
    assert!(error.is::<Overloaded>());
    // What was shed has left the queue with its service.
    assert_eq!(semaphore.waiting(), 0);
    gate.open();
    assert_eq!(ready(first).unwrap(), 1);
    gate.open();
    assert_eq!(ready(service.oneshot(3)).unwrap(), 3);
}

#[test]
fn a_retry_above_a_limit_of_one_does_not_wait_for_itself() {
    let manager = Scripted::default();
    let service = ServiceBuilder::new()
        .retry(Again(1))
        .layer(LimitLayer::new(Arc::new(Semaphore::new(1))))
        .service(PoolService::new(manager.pool(1), fails_once()));
    assert_eq!(ready(service.oneshot(5)).unwrap(), (1, 5));
}

#[tokio::test(start_paused = true)]
async fn all_of_them_stack() {
    let pool: Pool<Scripted> = Scripted::default().on_create(Step::Fail).pool(2);
    let semaphore = Arc::new(Semaphore::new(2));
    let service = ServiceBuilder::new()
        .load_shed()
        .retry(Again(1))
        .timeout(Duration::from_secs(1))
        .layer(LimitLayer::new(Arc::clone(&semaphore)))
        .service(PoolService::new(pool.clone(), number));
    // The first create fails, the retry does not.
    assert_eq!(service.clone().oneshot(1).await.unwrap(), (1, 1));
    let held = semaphore.try_acquire_many(2).unwrap();
    let error = service.clone().oneshot(2).await.unwrap_err();
    assert!(error.is::<Overloaded>());
    drop(held);
    assert_eq!(service.oneshot(3).await.unwrap(), (1, 3));
    assert_eq!((semaphore.available(), pool.status().idle), (2, 1));
}
