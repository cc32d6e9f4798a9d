//! Workers that answer by rule and are no processes: for tests of what calls them.

use super::error::CallError;
use super::events::{Body, Sink};

/// There are none without the feature `testing`.
#[cfg(not(feature = "testing"))]
#[derive(Clone, Debug)]
pub(crate) enum WorkerScript {}

#[cfg(not(feature = "testing"))]
impl WorkerScript {
    pub(crate) async fn play(
        &self,
        _: &str,
        _: &Body,
        _: Option<&Sink>,
    ) -> Result<Body, CallError> {
        match *self {}
    }
}

#[cfg(feature = "testing")]
pub use rules::WorkerRule;
#[cfg(feature = "testing")]
pub(crate) use rules::WorkerScript;

#[cfg(feature = "testing")]
mod rules {
    use std::fmt;
    use std::sync::Arc;
    use std::time::Duration;

    use serde::Serialize;

    use super::super::events::Interim;
    use super::super::protocol::RemoteError;
    use super::{Body, CallError, Sink};

    /// What a scripted worker does when a method is called: [`WorkerPool::scripted`](crate::worker::WorkerPool::scripted).
    /// The first rule that fits counts.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use pool_subprocess::worker::{WorkerPool, WorkerRule};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = WorkerPool::scripted(2, [
    ///     WorkerRule::on("caption").progress(&0.5).after(Duration::from_secs(3)).returns(&"a cat"),
    ///     WorkerRule::on("train").hangs(),
    /// ])?;
    /// assert_eq!(pool.call::<String>("caption", &"cat.png").await?, "a cat");
    ///
    /// let late = pool.call::<()>("train", &()).deadline(Duration::from_secs(60)).await;
    /// assert!(late.is_err_and(|error| error.is_timeout()));
    /// # Ok(())
    /// # }
    /// ```
    #[derive(Clone)]
    #[must_use = "a rule does nothing by itself"]
    pub struct WorkerRule {
        method: String,
        progress: Vec<Body>,
        after: Duration,
        answer: Answer,
    }

    type Computed = Arc<dyn Fn(&Body) -> Result<Body, RemoteError> + Send + Sync>;

    #[derive(Clone)]
    enum Answer {
        Hang,
        Compute(Computed),
    }

    impl WorkerRule {
        /// For this method. Without more it returns nothing, at once.
        pub fn on(method: impl Into<String>) -> Self {
            Self {
                method: method.into(),
                progress: Vec::new(),
                after: Duration::ZERO,
                answer: Answer::Compute(Arc::new(|_| Ok(Body::default()))),
            }
        }

        /// It tells this first.
        ///
        /// # Panics
        /// If it cannot be JSON.
        pub fn progress(mut self, value: &impl Serialize) -> Self {
            self.progress.push(json(value));
            self
        }

        /// It takes this long, by the clock of the runtime.
        pub fn after(mut self, time: Duration) -> Self {
            self.after = time;
            self
        }

        /// It returns this.
        ///
        /// # Panics
        /// If it cannot be JSON.
        pub fn returns(self, value: &impl Serialize) -> Self {
            let body = json(value);
            self.answers(move |_| Ok(body.clone()))
        }

        /// It returns what this makes of its argument. Runs on the thread that polls the call.
        pub fn answers(
            mut self,
            answer: impl Fn(&Body) -> Result<Body, RemoteError> + Send + Sync + 'static,
        ) -> Self {
            self.answer = Answer::Compute(Arc::new(answer));
            self
        }

        /// It fails.
        pub fn fails(self, error: RemoteError) -> Self {
            self.answers(move |_| Err(error.clone()))
        }

        /// It never answers.
        pub fn hangs(mut self) -> Self {
            self.answer = Answer::Hang;
            self
        }
    }

    impl fmt::Debug for WorkerRule {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("WorkerRule")
                .field("method", &self.method)
                .field("after", &self.after)
                .finish_non_exhaustive()
        }
    }

    fn json(value: &impl Serialize) -> Body {
        Body::json(serde_json::to_vec(value).expect("a value that can be JSON"))
    }

    #[derive(Clone, Debug)]
    pub(crate) struct WorkerScript(pub(crate) Arc<[WorkerRule]>);

    impl WorkerScript {
        pub(crate) async fn play(
            &self,
            method: &str,
            body: &Body,
            sink: Option<&Sink>,
        ) -> Result<Body, CallError> {
            let rule = self.0.iter().find(|rule| rule.method == method);
            let Some(rule) = rule else {
                let known: Vec<_> = self.0.iter().map(|rule| &rule.method).collect();
                panic!("no rule for the method {method:?}: there are rules for {known:?}");
            };
            if let Some(sink) = sink {
                for body in &rule.progress {
                    sink.push(Interim::Progress(body.clone()));
                }
            }
            if !rule.after.is_zero() {
                tokio::time::sleep(rule.after).await;
            }
            match &rule.answer {
                Answer::Hang => std::future::pending().await,
                Answer::Compute(answer) => answer(body).map_err(|error| CallError::Remote {
                    method: method.into(),
                    source: Box::new(error),
                }),
            }
        }
    }
}
