//! A `dyn` resource from a manager that is chosen at run time: the code that uses the pool knows
//! neither.

use std::{collections::HashMap, fs, io, path::PathBuf};

use pool_core::{BoxManager, CreateCx, Manager, Pool};

/// What is pooled.
trait Store: Send {
    fn put(&mut self, key: &str, value: &str) -> io::Result<()>;
    fn find(&self, key: &str) -> io::Result<Option<String>>;
}

type AnyStore = Box<dyn Store>;
type Stores = Pool<BoxManager<AnyStore, io::Error>>;

struct InMemory;

impl Manager for InMemory {
    type Resource = AnyStore;
    type Error = io::Error;

    async fn create(&self, _: &CreateCx) -> io::Result<AnyStore> {
        Ok(Box::new(HashMap::new()))
    }
}

impl Store for HashMap<String, String> {
    fn put(&mut self, key: &str, value: &str) -> io::Result<()> {
        self.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    fn find(&self, key: &str) -> io::Result<Option<String>> {
        Ok(self.get(key).cloned())
    }
}

struct InFiles {
    root: PathBuf,
}

impl Manager for InFiles {
    type Resource = AnyStore;
    type Error = io::Error;

    /// The slot is a name that no other store has at the same time. What takes longer than this must
    /// not block here.
    async fn create(&self, cx: &CreateCx) -> io::Result<AnyStore> {
        let folder = self.root.join(cx.index().to_string());
        fs::create_dir_all(&folder)?;
        Ok(Box::new(Folder(folder)))
    }
}

struct Folder(PathBuf);

impl Store for Folder {
    fn put(&mut self, key: &str, value: &str) -> io::Result<()> {
        fs::write(self.0.join(key), value)
    }

    fn find(&self, key: &str) -> io::Result<Option<String>> {
        match fs::read_to_string(self.0.join(key)) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scratch = tempfile::tempdir()?;
    let root = scratch.path().to_owned();
    let managers = [
        ("memory", BoxManager::new(InMemory)),
        ("files", BoxManager::new(InFiles { root })),
    ];
    for (kind, manager) in managers {
        use_stores(kind, &Pool::builder(manager).max_size(2).build()?)?;
    }
    Ok(())
}

fn use_stores(kind: &str, stores: &Stores) -> Result<(), Box<dyn std::error::Error>> {
    stores.acquire_blocking()?.put("colour", "blue")?;
    let store = stores.acquire_blocking()?;
    println!("{kind}: colour is {:?}", store.find("colour")?);
    println!("{kind}: size is {:?}", store.find("size")?);
    println!("{kind}: {}", stores.status());
    Ok(())
}
