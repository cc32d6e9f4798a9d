//! A worker's methods by their names, and what its errors look like to the host.

use std::any::{Any, type_name};
use std::collections::BTreeMap;
use std::error::Error;

use super::Job;
use crate::worker::events::Body;
use crate::worker::protocol::{MAX_HEADER, RemoteCause, RemoteError};

type Method = Box<dyn Fn(&Job, Body) -> Result<Body, RemoteError> + Send + Sync>;

#[derive(Default)]
pub(super) struct Methods(BTreeMap<String, Method>);

impl Methods {
    pub(super) fn insert(
        &mut self,
        name: &str,
        method: impl Fn(&Job, Body) -> Result<Body, RemoteError> + Send + Sync + 'static,
    ) {
        self.0.insert(name.to_owned(), Box::new(method));
    }

    pub(super) fn get(&self, name: &str) -> Result<&Method, RemoteError> {
        self.0.get(name).ok_or_else(|| {
            let known = self.names().join(", ");
            let message = format!("there is no method {name:?}: there are {known}");
            RemoteError::new(RemoteError::UNKNOWN_METHOD, message)
        })
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

/// An error with its causes; one that is meant for the host, as it is.
pub(super) fn remote_error<E: Error + 'static>(error: &E) -> RemoteError {
    if let Some(error) = (error as &dyn Any).downcast_ref::<RemoteError>() {
        return error.clone();
    }
    let mut remote = RemoteError::new(short(type_name::<E>()), error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        remote.cause.push(RemoteCause {
            kind: "error".to_owned(),
            message: error.to_string(),
        });
        cause = error.source();
    }
    remote
}

/// Without the path of its module.
fn short(name: &str) -> &str {
    let path = name.split('<').next().unwrap_or(name);
    let start = path.rfind("::").map_or(0, |colons| colons + 2);
    &name[start..]
}

impl RemoteError {
    /// So that it fits into a header, whatever is in it.
    pub(super) fn shortened(mut self) -> Self {
        // A byte may become six, as JSON.
        let most = MAX_HEADER / 6 / 4;
        let texts = [
            Some(&mut self.kind),
            Some(&mut self.message),
            self.traceback.as_mut(),
        ];
        for text in texts.into_iter().flatten() {
            cut(text, most);
        }
        self.cause.truncate(8);
        for cause in &mut self.cause {
            cut(&mut cause.kind, most / 16);
            cut(&mut cause.message, most / 16);
        }
        self
    }
}

pub(super) fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        let end = (0..=most).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
    }
}
