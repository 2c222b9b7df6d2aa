//! Replacing a file whole, or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::StoredError;

/// Puts what `write` writes in the place of the file at `path`. If any of it fails before the
/// rename, the old file is untouched and nothing is left beside it.
pub(super) fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<(), StoredError> {
    // A rename would replace a link, not what it leads to.
    let (target, permissions) = match fs::canonicalize(path) {
        Ok(target) => {
            let metadata = fs::metadata(&target).map_err(about(&target))?;
            (target, Some(metadata.permissions()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => (path.to_owned(), None),
        Err(error) => return Err(about(path)(error)),
    };
    let directory = match target.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Err(no_file(path)),
    };
    let (mut temporary, file) = Temporary::create(&target, directory, permissions)?;
    let mut out = BufWriter::new(&file);
    write(&mut out)
        .and_then(|()| out.flush())
        .and_then(|()| file.sync_all())
        .map_err(about(&temporary.path))?;
    drop(out);
    drop(file);
    fs::rename(&temporary.path, &target).map_err(about(&target))?;
    temporary.renamed = true;
    sync_directory(directory).map_err(about(directory))
}

fn about(path: &Path) -> impl FnOnce(io::Error) -> StoredError {
    let path = path.to_owned();
    move |source| StoredError::Io { path, source }
}

fn no_file(path: &Path) -> StoredError {
    about(path)(io::Error::new(
        io::ErrorKind::InvalidInput,
        "does not name a file",
    ))
}

/// A file that is removed unless it has been renamed.
struct Temporary {
    path: PathBuf,
    renamed: bool,
}

impl Temporary {
    fn create(
        target: &Path,
        directory: &Path,
        permissions: Option<Permissions>,
    ) -> Result<(Self, File), StoredError> {
        // Random, because in a container every process may have the same number.
        let random = getrandom::u64().map_err(|error| about(directory)(io::Error::other(error)))?;
        let mut name = OsString::from(".");
        name.push(target.file_name().ok_or_else(|| no_file(target))?);
        name.push(format!(".{random:016x}.tmp"));
        let path = directory.join(name);

        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if permissions.is_some() {
            // Until it has the old file's permissions, nobody else may open it.
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        let file = options.open(&path).map_err(about(&path))?;
        let temporary = Self {
            path,
            renamed: false,
        };
        if let Some(permissions) = permissions {
            file.set_permissions(permissions)
                .map_err(about(&temporary.path))?;
        }
        Ok((temporary, file))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // What cannot be removed is left; the error that led here says more.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes the rename survive a loss of power.
#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    match File::open(directory)?.sync_all() {
        // Some network file systems have no such thing.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        result => result,
    }
}

/// A directory cannot be opened as a file there.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}
