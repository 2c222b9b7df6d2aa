//! CPU time of another thread of this process, by its name. Linux; elsewhere it is not known.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Where the system tells how long a thread has run.
#[derive(Debug)]
pub(super) struct ThreadCpu(PathBuf);

impl ThreadCpu {
    /// The thread of this name, if there is exactly one. The system keeps 15 bytes of a name.
    pub(super) fn of(name: &str) -> Option<Self> {
        let name = name.get(..15).unwrap_or(name);
        let tasks = fs::read_dir("/proc/self/task").ok()?;
        let is_it = |task: &PathBuf| {
            fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim_end() == name)
        };
        let mut found = tasks.flatten().map(|task| task.path()).filter(is_it);
        let task = found.next().filter(|_| found.next().is_none())?;
        Some(Self(task.join("schedstat")))
    }

    /// How long it has run, as of the last tick of the scheduler.
    pub(super) fn now(&self) -> Option<Duration> {
        let text = fs::read_to_string(&self.0).ok()?;
        let nanos = text.split_whitespace().next()?.parse().ok()?;
        Some(Duration::from_nanos(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_told_apart_by_name() {
        assert!(ThreadCpu::of("there is no such thread").is_none());
        #[cfg(target_os = "linux")]
        {
            let (say, heard) = std::sync::mpsc::channel::<()>();
            let thread = std::thread::Builder::new().name("a-thread-with-a-long-name".into());
            let (ready, is_ready) = std::sync::mpsc::channel();
            let thread = thread.spawn(move || {
                ready.send(()).expect("somebody waits");
                let _ = heard.recv();
            });
            is_ready.recv().expect("it runs");
            let cpu = ThreadCpu::of("a-thread-with-a-long-name").expect("there is one");
            assert!(
                cpu.now()
                    .is_some_and(|spent| spent < Duration::from_secs(60))
            );
            drop(say);
            thread.expect("a thread").join().expect("it ends");
        }
    }
}
