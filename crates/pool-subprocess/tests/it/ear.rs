//! What the crate tells through `tracing`, heard in the middle of its work.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

/// Something that was told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) command: String,
    pub(crate) message: String,
}

/// Calls this on the thread that tells.
struct Ear<F>(F);

/// From now on, in the whole process, for whoever is first.
pub(crate) fn hear(hear: impl Fn(&Told) + Send + Sync + 'static) {
    tracing::subscriber::set_global_default(Ear(hear)).expect("the first");
}

impl<F: Fn(&Told) + 'static> Subscriber for Ear<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("pool_subprocess")
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut told = Told::default();
        event.record(&mut told);
        (self.0)(&told);
    }

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "command" => self.command = format!("{value:?}"),
            "message" => self.message = format!("{value:?}"),
            _ => {}
        }
    }
}
