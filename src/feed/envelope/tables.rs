//! What was learned from messages: which number stands for which name on this connection.

use hashbrown::HashMap;

/// Names learned per table; a server that sends more is not believed.
const MAX_LEARNED: usize = 65_536;

/// Texts by texts, in tables with names. A connection begins with empty ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables(Vec<Table>);

#[derive(Clone, Debug)]
struct Table {
    name: Box<str>,
    texts: HashMap<Box<str>, Box<str>, foldhash::fast::RandomState>,
}

impl Tables {
    /// Adds a table, once.
    pub(super) fn add(&mut self, name: &str) {
        if !self.has(name) {
            self.0.push(Table {
                name: name.into(),
                texts: HashMap::default(),
            });
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|table| *table.name == *name)
    }

    /// What was learned under `key`.
    #[inline]
    pub(super) fn look_up(&self, table: &str, key: &str) -> Option<&str> {
        let table = self.0.iter().find(|known| *known.name == *table)?;
        table.texts.get(key).map(|text| &**text)
    }

    #[cold]
    pub(super) fn learn(&mut self, table: &str, key: &str, text: &str) {
        let Some(table) = self.0.iter_mut().find(|known| *known.name == *table) else {
            return;
        };
        if table.texts.len() < MAX_LEARNED || table.texts.contains_key(key) {
            table.texts.insert(key.into(), text.into());
        }
    }

    /// Forgets what the last connection taught.
    pub(super) fn clear(&mut self) {
        for table in &mut self.0 {
            table.texts.clear();
        }
    }
}
