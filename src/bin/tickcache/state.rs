//! The final state as text: one JSON object a line, in an order that does not depend on the run.

use std::io::{self, BufWriter, ErrorKind, Write};

use serde::Serialize;
use tickcache::cache::{Cache, Slot};
use tickcache::key::{Id, IdRef};

/// Prints every value to standard output: sorted by entity, then by id (integers by number, then
/// texts by bytes), every token as it was received. Whoever closes standard output early has read
/// enough of it.
pub(crate) fn print(cache: &Cache) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(cache, &mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// How many values there are, and in how many entities.
pub(crate) fn size(cache: &Cache) -> (usize, usize) {
    let sizes = cache.entities().into_iter().map(|entity| entity.len());
    let filled: Vec<_> = sizes.filter(|values| *values > 0).collect();
    (filled.iter().sum(), filled.len())
}

fn write(cache: &Cache, out: &mut impl Write) -> io::Result<()> {
    let mut line = Vec::new();
    for entity in cache.entities() {
        let mut slots: Vec<Slot> = entity.iter().collect();
        slots.sort_by(|a, b| a.id().cmp(b.id()));
        for slot in slots {
            line.clear();
            line.extend_from_slice(b"{\"entity\":");
            push(&mut line, entity.name())?;
            line.extend_from_slice(b",\"id\":");
            push_id(&mut line, slot.id())?;
            slot.read_all(|view| {
                write!(line, ",\"epoch\":{},\"value\":", view.epoch())?;
                view.record().write_json(&mut line);
                Ok::<_, io::Error>(())
            })?;
            line.extend_from_slice(b"}\n");
            out.write_all(&line)?;
        }
    }
    Ok(())
}

fn push_id(line: &mut Vec<u8>, id: &Id) -> io::Result<()> {
    match id.as_ref() {
        IdRef::Int(number) => write!(line, "{number}"),
        IdRef::Text(text) => push(line, text),
    }
}

fn push(line: &mut Vec<u8>, value: impl Serialize) -> io::Result<()> {
    serde_json::to_writer(line, &value).map_err(io::Error::from)
}
