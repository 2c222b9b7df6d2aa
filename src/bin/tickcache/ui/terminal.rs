//! The terminal while the table is on it, and the signals that end a run.

use std::io::{self, Stdout, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::{cursor, execute, terminal};

use super::draw::{View, draw};
use super::model::Model;

/// Ten pictures a second: numbers that change more often cannot be read.
const PICTURE_EVERY: Duration = Duration::from_millis(100);

/// How long a run may take to end in order when its terminal is gone.
const HANG_UP_GRACE: Duration = Duration::from_secs(5);

/// The thread that has the terminal, while one has it, and what panics of others said meanwhile.
static OWNER: Mutex<Option<ThreadId>> = Mutex::new(None);
static UNSAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
static HOOK: Once = Once::new();

/// Shows the table until `done` or until the user quits; `sample` brings the model up to date, and
/// is given the letters that were typed since it was last called and mean nothing to the table. The
/// terminal is as before when this returns, and when it unwinds.
pub(crate) fn live<S, D>(mut sample: S, mut done: D) -> io::Result<()>
where
    S: FnMut(&mut Model, &[char]),
    D: FnMut() -> bool,
{
    let mut screen = Screen::enter()?;
    // The convention of no-color.org.
    let mut view = View::new(std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()));
    let mut model = Model::default();
    let mut typed = Vec::new();
    while !done() {
        let next = Instant::now() + PICTURE_EVERY;
        sample(&mut model, &typed);
        typed.clear();
        screen.0.draw(|frame| draw(frame, &model, &mut view))?;
        loop {
            // A terminal that is gone is always ready and has nothing to say.
            let left = next.saturating_duration_since(Instant::now());
            if left.is_zero() || done() || !event::poll(left)? {
                break;
            }
            match event::read()? {
                Event::Key(key) if quits(&key) => return Ok(()),
                Event::Key(key) if key.kind != KeyEventKind::Release && view.key(key.code) => {
                    screen.0.draw(|frame| draw(frame, &model, &mut view))?;
                }
                Event::Key(KeyEvent {
                    code: KeyCode::Char(letter),
                    kind: KeyEventKind::Press,
                    ..
                }) => {
                    typed.push(letter);
                }
                Event::Resize(..) => {
                    screen.0.draw(|frame| draw(frame, &model, &mut view))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// In raw mode Ctrl-C is a key, not a signal.
fn quits(key: &KeyEvent) -> bool {
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    let quit = matches!(key.code, KeyCode::Char('q' | 'Q') | KeyCode::Esc);
    key.kind == KeyEventKind::Press && (control_c || quit)
}

/// The terminal in raw mode on its second screen; given back when this is dropped.
struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    fn enter() -> io::Result<Self> {
        HOOK.call_once(install_hook);
        // From here on `restore` has something to do, should one of the steps fail.
        *OWNER.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread::current().id());
        let enter = || {
            terminal::enable_raw_mode()?;
            execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
            Terminal::new(CrosstermBackend::new(io::stdout()))
        };
        enter().map(Self).inspect_err(|_| restore())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back, once, and then says what was kept from it. Failures have nowhere to go.
fn restore() {
    if OWNER
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
        .is_none()
    {
        return;
    }
    let _ = terminal::disable_raw_mode();
    let _ = execute!(io::stdout(), terminal::LeaveAlternateScreen, cursor::Show);
    for text in UNSAID
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .drain(..)
    {
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// A panic of the thread that has the terminal gives it back before it speaks. That of another one
/// would be drawn over: it is kept until the terminal is given back.
fn install_hook() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let owner = *OWNER.lock().unwrap_or_else(PoisonError::into_inner);
        match owner {
            Some(owner) if owner != thread::current().id() => {
                let name = thread::current().name().unwrap_or("unnamed").to_owned();
                let text = format!("thread '{name}': {panic}");
                UNSAID
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(text);
            }
            Some(_) => {
                restore();
                before(panic);
            }
            None => before(panic),
        }
    }));
}

/// Notices Ctrl-C and, on Unix, the terminating and hang-up signals, so that a run can end in order.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Starts to notice. A second signal ends the process at once, with code 130.
    pub(crate) fn install() -> io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&flag);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        // Registered before this returns: no signal is missed.
        let mut signals = {
            let _inside = runtime.enter();
            Signals::new()?
        };
        thread::Builder::new()
            .name("tickcache-signals".into())
            .spawn(move || {
                runtime.block_on(async {
                    let hung_up = signals.next().await;
                    // Nothing else is handed over with the flag.
                    seen.store(true, Ordering::Relaxed);
                    // Without its terminal nobody could tell it a second time.
                    let patience = if hung_up {
                        HANG_UP_GRACE
                    } else {
                        Duration::MAX
                    };
                    let _ = tokio::time::timeout(patience, signals.next()).await;
                });
                restore();
                std::process::exit(130);
            })?;
        Ok(Self(flag))
    }

    /// Whether a signal has come.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 3]);

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ];
        let [a, b, c] = kinds.map(signal);
        Ok(Self([a?, b?, c?]))
    }

    /// Waits for a signal; whether it says that the terminal is gone.
    async fn next(&mut self) -> bool {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => false,
            _ = terminate.recv() => false,
            _ = hangup.recv() => true,
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn new() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) -> bool {
        self.0.recv().await;
        false
    }
}
