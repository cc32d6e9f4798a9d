//! A subscriber that remembers the spans of a test's thread.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::DefaultGuard,
};

/// What became of one span.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) name: &'static str,
    pub(crate) parent: Option<&'static str>,
    pub(crate) fields: BTreeMap<&'static str, String>,
    pub(crate) entered: usize,
    pub(crate) events: usize,
    handles: usize,
}

impl Seen {
    pub(crate) fn is_open(&self) -> bool {
        self.handles > 0
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    spans: Vec<Seen>,
    /// Those that are entered, the innermost last.
    stack: Vec<usize>,
}

impl Recorder {
    /// From now on, on this thread.
    pub(crate) fn install() -> (Self, DefaultGuard) {
        let recorder = Self::default();
        let guard = tracing::subscriber::set_default(recorder.clone());
        (recorder, guard)
    }

    /// All spans of this name, by age.
    pub(crate) fn all(&self, name: &str) -> Vec<Seen> {
        let state = self.0.lock().unwrap();
        let named = state.spans.iter().filter(|seen| seen.name == name);
        named.cloned().collect()
    }

    /// The only span of this name.
    #[track_caller]
    pub(crate) fn one(&self, name: &str) -> Seen {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name}: {all:?}");
        all[0].clone()
    }

    /// The innermost span that is entered.
    pub(crate) fn current(&self) -> Option<&'static str> {
        let state = self.0.lock().unwrap();
        state.stack.last().map(|at| state.spans[*at].name)
    }

    /// How many spans there have been, and how many are open or entered.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let state = self.0.lock().unwrap();
        let open = state.spans.iter().filter(|seen| seen.is_open()).count();
        (state.spans.len(), open, state.stack.len())
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("pool_core") && *metadata.level() <= Level::DEBUG
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Fields(BTreeMap::new());
        attributes.record(&mut fields);
        let mut state = self.0.lock().unwrap();
        let contextual = attributes
            .is_contextual()
            .then(|| state.stack.last().copied());
        let parent = contextual.flatten().map(|at| state.spans[at].name);
        state.spans.push(Seen {
            name: attributes.metadata().name(),
            parent,
            fields: fields.0,
            entered: 0,
            events: 0,
            handles: 1,
        });
        Id::from_u64(state.spans.len() as u64)
    }

    fn record(&self, id: &Id, record: &Record<'_>) {
        let mut fields = Fields(BTreeMap::new());
        record.record(&mut fields);
        self.0.lock().unwrap().spans[index(id)]
            .fields
            .extend(fields.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        let mut state = self.0.lock().unwrap();
        if let Some(at) = state.stack.last().copied() {
            state.spans[at].events += 1;
        }
    }

    fn enter(&self, id: &Id) {
        let mut state = self.0.lock().unwrap();
        state.spans[index(id)].entered += 1;
        state.stack.push(index(id));
    }

    fn exit(&self, id: &Id) {
        let left = self.0.lock().unwrap().stack.pop();
        assert_eq!(left, Some(index(id)), "the innermost first");
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.0.lock().unwrap().spans[index(id)].handles += 1;
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut state = self.0.lock().unwrap();
        let seen = &mut state.spans[index(&id)];
        seen.handles -= 1;
        seen.handles == 0
    }
}

fn index(id: &Id) -> usize {
    id.into_u64() as usize - 1
}

struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
