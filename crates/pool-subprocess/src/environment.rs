//! What a child finds in its environment: where it begins, and what is changed.

use std::ffi::{OsStr, OsString};
use std::fmt;

use crate::command::no_nul;
use crate::error::SpawnError;

/// A command's environment as data. The last word on a variable counts.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Environment {
    base: Base,
    changes: Vec<Change>,
}

/// Which variables of the host's the child begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub(crate) enum Base {
    #[default]
    All,
    Only(Vec<OsString>),
}

#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Change {
    name: OsString,
    /// `None` removes it.
    value: Option<OsString>,
    is_secret: bool,
}

/// As the system takes it: whether all of the host's are left out, and what is set or, with `None`, removed.
pub(crate) type Resolved = (bool, Vec<(OsString, Option<OsString>)>);

impl Environment {
    pub(crate) fn set(&mut self, name: OsString, value: OsString, is_secret: bool) {
        let value = Some(value);
        self.changes.push(Change {
            name,
            value,
            is_secret,
        });
    }

    pub(crate) fn remove(&mut self, name: OsString) {
        let (value, is_secret) = (None, false);
        self.changes.push(Change {
            name,
            value,
            is_secret,
        });
    }

    /// Begins with these variables of the host's only, and forgets what was changed before.
    pub(crate) fn begin_with(&mut self, names: Vec<OsString>) {
        self.base = Base::Only(names);
        self.changes.clear();
    }

    pub(crate) fn base(&self) -> &Base {
        &self.base
    }

    /// Each change, in order: the variable, and whether it is set.
    pub(crate) fn changes(&self) -> impl Iterator<Item = (&OsStr, bool)> {
        let changes = self.changes.iter();
        changes.map(|change| (change.name.as_os_str(), change.value.is_some()))
    }

    /// The value that is set for a variable, whatever the host's is.
    pub(crate) fn value(&self, name: &str) -> Option<&OsStr> {
        self.last(name)?.value.as_deref()
    }

    /// Whether the child would find a variable of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self.last(name) {
            Some(change) => change.value.is_some(),
            None => self.inherits(name) && std::env::var_os(name).is_some(),
        }
    }

    /// Whether anything is said of this variable.
    pub(crate) fn mentions(&self, name: &OsStr) -> bool {
        self.changes.iter().any(|change| change.name == name)
    }

    fn last(&self, name: &str) -> Option<&Change> {
        self.changes.iter().rev().find(|change| change.name == name)
    }

    fn inherits(&self, name: &str) -> bool {
        match &self.base {
            Base::All => true,
            Base::Only(names) => names.iter().any(|kept| kept == name),
        }
    }

    pub(crate) fn resolve(&self) -> Resolved {
        let (cleared, kept) = match &self.base {
            Base::All => (false, [].as_slice()),
            Base::Only(names) => (true, names.as_slice()),
        };
        let kept = kept.iter().filter_map(|name| {
            let value = std::env::var_os(name)?;
            Some((name.clone(), Some(value)))
        });
        let changes = self.changes.iter();
        let changes = changes.map(|change| (change.name.clone(), change.value.clone()));
        (cleared, kept.chain(changes).collect())
    }

    /// Rejects what no system takes.
    pub(crate) fn check(&self) -> Result<(), SpawnError> {
        for Change { name, value, .. } in &self.changes {
            if name.is_empty() || name.as_encoded_bytes().contains(&b'=') {
                return Err(SpawnError::VariableName { name: name.clone() });
            }
            let place = || format!("the environment variable {:?}", name.to_string_lossy());
            no_nul(name, place)?;
            no_nul(value.as_deref().unwrap_or_default(), place)?;
        }
        Ok(())
    }
}

/// Without the values of secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        if let Base::Only(names) = &self.base {
            list.entry(&format_args!("only {names:?}"));
        }
        for change in &self.changes {
            let name = change.name.to_string_lossy();
            match &change.value {
                None => list.entry(&format_args!("{name} removed")),
                Some(_) if change.is_secret => list.entry(&format_args!("{name}=(secret)")),
                Some(value) => list.entry(&format_args!("{name}={value:?}")),
            };
        }
        list.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(environment: &mut Environment, name: &str, value: &str) {
        environment.set(name.into(), value.into(), false);
    }

    #[test]
    fn the_last_word_on_a_variable_counts() {
        let mut environment = Environment::default();
        set(&mut environment, "A", "1");
        environment.remove("A".into());
        assert_eq!(environment.value("A"), None);
        assert!(!environment.has("A"));
        set(&mut environment, "A", "2");
        assert!(environment.has("A") && environment.mentions("A".as_ref()));
        assert!(environment.has("PATH") && !environment.mentions("PATH".as_ref()));
        environment.begin_with(Vec::new());
        assert!(!environment.has("A") && !environment.has("PATH"));
    }

    #[test]
    fn only_what_is_listed_is_inherited() {
        let mut environment = Environment::default();
        set(&mut environment, "A", "1");
        environment.begin_with(vec!["PATH".into(), "NO_SUCH_VARIABLE".into()]);
        assert!(environment.has("PATH") && !environment.has("HOME"));
        let (cleared, variables) = environment.resolve();
        assert!(cleared);
        let names: Vec<_> = variables.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["PATH"]);
    }

    #[test]
    fn secrets_are_not_shown() {
        let mut environment = Environment::default();
        environment.set("TOKEN".into(), "hunter2".into(), true);
        set(&mut environment, "PLAIN", "text");
        environment.remove("HOME".into());
        assert_eq!(
            format!("{environment:?}"),
            r#"[TOKEN=(secret), PLAIN="text", HOME removed]"#
        );
    }
}
