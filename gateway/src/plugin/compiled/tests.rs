use std::os::unix::fs::{PermissionsExt, symlink};

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;

/// An empty component, and one with a custom section that nothing reads.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";
const OTHER: &[u8] = b"\0asm\x0d\0\x01\0\0\x02\x01x";

/// A place for a folder and a key, neither of which exists yet.
struct Place {
    root: TempDir,
    engine: Engine,
}

impl Place {
    fn new() -> Self {
        let engine = Engine::new(&metagate_plugin_artifacts::engine::compile_settings()).unwrap();
        Self { root: tempfile::tempdir().unwrap(), engine }
    }

    /// A place with folder and key.
    fn made() -> Self {
        let place = Self::new();
        make(&place.settings()).unwrap();
        place
    }

    fn settings(&self) -> config::Compiled {
        config::Compiled { folder: self.root.path().join("compiled"), key_file: self.root.path().join("key") }
    }

    fn open(&self) -> CompiledFolder {
        CompiledFolder::open(&self.settings(), &self.engine).unwrap().unwrap()
    }

    fn refusal(&self) -> CompiledError {
        CompiledFolder::open(&self.settings(), &self.engine).map(|_| "opened").unwrap_err()
    }

    /// Stores the component, and answers with the path of its entry.
    fn store(&self, wasm: &[u8]) -> PathBuf {
        let folder = self.open();
        folder.store(&digest(wasm), &Component::new(&self.engine, wasm).unwrap()).unwrap();
        folder.entry(&digest(wasm))
    }

    fn names(&self) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        fs::read_dir(self.settings().folder).unwrap().map(name).collect()
    }
}

fn digest(wasm: &[u8]) -> [u8; 32] {
    Sha256::digest(wasm).into()
}

fn is_cached(found: Found) -> bool {
    matches!(found, Found::Cached(_))
}

/// The entry is refused for `why` and removed; the component is compiled and stored again.
fn refuses(place: &Place, path: &Path, why: &str) {
    let folder = place.open();
    match folder.find(&digest(EMPTY)) {
        Found::Bad { path: named, why: error } => {
            assert_eq!(named, path);
            assert!(error.to_string().contains(why), "{why:?} is not in: {error}");
        }
        Found::Cached(_) => panic!("loaded, where {why:?} was expected"),
        Found::Nothing => panic!("nothing is there, where {why:?} was expected"),
    }
    assert!(fs::symlink_metadata(path).is_err(), "{} is still there", path.display());
    assert!(matches!(folder.find(&digest(EMPTY)), Found::Nothing));
    place.store(EMPTY);
    assert!(is_cached(place.open().find(&digest(EMPTY))));
}

#[test]
fn what_was_kept_is_found_after_a_restart_and_for_its_own_component_only() {
    let place = Place::made();
    assert!(matches!(place.open().find(&digest(EMPTY)), Found::Nothing));
    let entry = place.store(EMPTY);
    assert!(is_cached(place.open().find(&digest(EMPTY))));
    assert!(matches!(place.open().find(&digest(OTHER)), Found::Nothing));
    assert_eq!(fs::metadata(entry).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn whoever_only_looks_makes_neither_folder_nor_key() {
    let place = Place::new();
    assert!(CompiledFolder::open(&place.settings(), &place.engine).unwrap().is_none());
    fs::create_dir(place.settings().folder).unwrap();
    assert!(CompiledFolder::open(&place.settings(), &place.engine).unwrap().is_none());
    assert!(!place.settings().key_file.exists());
}

#[test]
fn folder_and_key_are_made_for_this_user_alone() {
    let place = Place::made();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(place.settings().folder), mode(place.settings().key_file)), (0o700, 0o600));
    let key = fs::read(place.settings().key_file).unwrap();
    make(&place.settings()).unwrap();
    assert_eq!(fs::read(place.settings().key_file).unwrap(), key, "an old key stays");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_flipped_bit_is_loaded(flipped: prop::sample::Index) {
        let place = Place::made();
        let entry = place.store(EMPTY);
        let mut bytes = fs::read(&entry).unwrap();
        let bit = flipped.index(8 * bytes.len());
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&entry, bytes).unwrap();
        refuses(&place, &entry, "was not made by this gateway, or was changed");
    }
}

#[test]
fn an_entry_that_is_cut_or_empty_is_refused() {
    let place = Place::made();
    let entry = place.store(EMPTY);
    let whole = fs::read(&entry).unwrap();
    for length in [0, 1, 111, 112, 113, whole.len() - 1] {
        fs::write(&entry, &whole[..length]).unwrap();
        refuses(&place, &entry, "was changed");
    }
}

#[test]
fn an_entry_of_another_component_under_this_ones_name_is_refused() {
    let place = Place::made();
    let (entry, other) = (place.store(EMPTY), place.store(OTHER));
    fs::rename(other, &entry).unwrap();
    refuses(&place, &entry, "is of another component or version");
}

#[test]
fn an_entry_under_another_key_is_refused() {
    let place = Place::made();
    let entry = place.store(EMPTY);
    fs::remove_file(place.settings().key_file).unwrap();
    make(&place.settings()).unwrap();
    refuses(&place, &entry, "was not made by this gateway");
}

#[test]
fn what_is_no_regular_file_is_refused_unread() {
    let place = Place::made();
    let entry = place.store(EMPTY);
    let elsewhere = place.root.path().join("elsewhere");
    fs::rename(&entry, &elsewhere).unwrap();
    // It is refused although the link's target has a valid seal.
    symlink(&elsewhere, &entry).unwrap();
    refuses(&place, &entry, "is not a regular file");
    assert!(elsewhere.exists());
    fs::remove_file(&entry).unwrap();
    // A plain `open` of a FIFO would delay the start until somebody writes to it.
    rustix::fs::mknodat(rustix::fs::CWD, &entry, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
    refuses(&place, &entry, "is not a regular file");
}

#[test]
fn a_folder_that_others_can_write_to_is_refused() {
    let place = Place::made();
    for mode in [0o720, 0o702, 0o1777] {
        fs::set_permissions(place.settings().folder, fs::Permissions::from_mode(mode)).unwrap();
        let error = place.refusal();
        assert!(matches!(error, CompiledError::Writable { mode: found, .. } if found == mode), "{error}");
    }
    let file = config::Compiled { folder: place.settings().key_file, ..place.settings() };
    assert!(matches!(CompiledFolder::open(&file, &place.engine), Err(CompiledError::NotFolder { .. })));
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped part is reported")]
fn a_key_that_others_can_read_or_own_is_refused_and_so_are_two() {
    let place = Place::made();
    let key = place.settings().key_file;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o620)).unwrap();
    assert!(matches!(place.refusal(), CompiledError::Key(KeyFileError::Exposed { mode: 0o620, .. })));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let line = fs::read_to_string(&key).unwrap();
    fs::write(&key, format!("{line}{line}")).unwrap();
    assert!(matches!(place.refusal(), CompiledError::Keys { count: 2, .. }));
    fs::write(&key, line).unwrap();
    if geteuid().is_root() {
        std::os::unix::fs::chown(&key, Some(65_532), None).unwrap();
        assert!(matches!(place.refusal(), CompiledError::Foreign { owner: 65_532, us: 0, .. }));
        std::os::unix::fs::chown(&key, Some(0), None).unwrap();
        std::os::unix::fs::chown(place.settings().folder, Some(65_532), None).unwrap();
        assert!(matches!(place.refusal(), CompiledError::Foreign { key: "plugin_files.compiled", .. }));
    } else {
        eprintln!("SKIPPED in part: only root can give a file away");
    }
}

#[test]
fn the_folder_holds_the_entries_used_last_and_nothing_of_other_versions() {
    let place = Place::made();
    let folder = place.open();
    let at = |second: u64| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second);
    let put = |name: &str, second: u64| {
        let file = File::create(folder.path.join(name)).unwrap();
        file.set_modified(at(second)).unwrap();
    };
    for (second, byte) in (0..ENTRIES_MAX as u64).zip(0u8..) {
        put(&format!("{}-{}{SUFFIX}", folder.maker(), digest_hex(&[byte; 32])), second);
    }
    put(&format!("{}-{}{SUFFIX}", "0".repeat(16), digest_hex(&[1; 32])), 9);
    put(&format!("{UNFINISHED}abc"), 9);
    for others in ["README", "short-name.native", "notes-of-mine.txt"] {
        put(others, 0);
    }
    // The oldest entry is used, so the second oldest is removed.
    let oldest = folder.entry(&[0; 32]);
    let sealed = folder.seal.seal(&[0; 32], &Component::new(&place.engine, EMPTY).unwrap()).unwrap();
    fs::write(&oldest, sealed).unwrap();
    File::options().write(true).open(&oldest).unwrap().set_modified(at(0)).unwrap();
    assert!(is_cached(folder.find(&[0; 32])));

    let newest = place.store(EMPTY);
    let names = place.names();
    assert_eq!(names.len(), ENTRIES_MAX + 3, "{names:?}");
    assert!(newest.exists() && oldest.exists() && !folder.entry(&[1; 32]).exists() && folder.entry(&[2; 32]).exists());
    assert!(["README", "short-name.native", "notes-of-mine.txt"].iter().all(|name| names.contains(&name.to_string())));
}

#[test]
fn a_folder_that_takes_nothing_is_a_plain_error() {
    let place = Place::made();
    let folder = place.open();
    fs::remove_dir(&folder.path).unwrap();
    assert!(folder.store(&digest(EMPTY), &Component::new(&place.engine, EMPTY).unwrap()).is_err());
    assert!(matches!(folder.find(&digest(EMPTY)), Found::Nothing));
}
