use std::process::Command;

use ed25519_dalek::{Signer, SigningKey};
use proptest::prelude::*;

use super::*;
use crate::config::PublicKeyError;

const WASM: &[u8] = b"\0asm\x0d\0\x01\0 and whatever else is in it";

fn signing(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// The output of `openssl pkey -pubout`: these letters, then the key itself.
fn public(seed: u8) -> PublicKey {
    let key = BASE64_STANDARD.encode(signing(seed).verifying_key().to_bytes());
    format!("MCowBQYDK2VwAyEA{key}").parse().unwrap()
}

fn signed(seed: u8, bytes: &[u8]) -> [u8; 64] {
    signing(seed).sign(bytes).to_bytes()
}

/// A folder with these bytes as the signature of `x.wasm`, and the path of `x.wasm`.
fn signed_file(signature: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.wasm");
    std::fs::write(path_for(&file), signature).unwrap();
    (folder, file)
}

fn judged(keys: &[PublicKey], signature: &[u8], bytes: &[u8]) -> Result<(), SignatureError> {
    let (_folder, file) = signed_file(signature);
    verify(keys, &file, bytes)
}

#[test]
fn one_of_the_keys_is_enough() {
    assert!(judged(&[public(1), public(2)], &signed(2, WASM), WASM).is_ok());
}

#[test]
fn a_signature_may_be_in_base64_as_tools_break_it_into_lines() {
    let text = BASE64_STANDARD.encode(signed(1, WASM));
    let (head, tail) = text.split_at(76);
    assert!(judged(&[public(1)], format!("{head}\n{tail}\n").as_bytes(), WASM).is_ok());
}

#[test]
fn without_keys_nothing_is_asked_for() {
    assert!(verify(&[], Path::new("no-such-folder/x.wasm"), WASM).is_ok());
}

#[test]
fn a_missing_signature_is_named_with_the_command_that_makes_it() {
    let error = verify(&[public(1)], Path::new("no-such-folder/x.wasm"), WASM).unwrap_err();
    assert!(matches!(error, SignatureError::Missing { .. }));
    let error = error.to_string();
    let command =
        "openssl pkeyutl -sign -inkey key.pem -rawin -in no-such-folder/x.wasm -out no-such-folder/x.wasm.sig";
    assert!(error.starts_with("no-such-folder/x.wasm.sig is missing") && error.contains(command), "{error}");
}

#[test]
fn what_is_no_signature_is_told_as_such() {
    for wrong in [&b""[..], &[7; 63], &[7; 65], &[b'A'; 88], &[b'!'; 88], &[b'A'; 4096], b"-----BEGIN SIGNATURE-----"] {
        let error = judged(&[public(1)], wrong, WASM).unwrap_err();
        assert!(matches!(error, SignatureError::Malformed { .. }), "{} bytes: {error}", wrong.len());
    }
}

#[test]
fn a_signature_that_cannot_be_read_is_told_with_the_cause() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.wasm");
    std::fs::create_dir(path_for(&file)).unwrap();
    assert!(matches!(verify(&[public(1)], &file, WASM), Err(SignatureError::Read { .. })));
}

#[test]
fn another_key_and_other_bytes_are_refused() {
    for (seed, bytes) in [(2, WASM), (1, b"other bytes")] {
        let error = judged(&[public(1)], &signed(seed, bytes), WASM).unwrap_err();
        assert!(matches!(error, SignatureError::Wrong { .. }), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_flipped_bit_of_file_or_signature_verifies(
        bytes in proptest::collection::vec(any::<u8>(), 1..200), flipped: prop::sample::Index,
    ) {
        let mut all = signed(1, &bytes).to_vec();
        all.extend(&bytes);
        let bit = flipped.index(8 * all.len());
        all[bit / 8] ^= 1 << (bit % 8);
        let (signature, bytes) = all.split_at(SIGNATURE_LENGTH);
        prop_assert!(judged(&[public(1)], signature, bytes).is_err(), "bit {}", bit);
    }
}

fn openssl(folder: &Path, arguments: &str) -> Vec<u8> {
    let ran = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(ran.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&ran.stderr));
    ran.stdout
}

/// The commands of README.md.
#[test]
#[expect(clippy::print_stderr, reason = "a skipped test is reported")]
fn what_openssl_signs_verifies_by_the_key_that_openssl_shows() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("SKIPPED: there is no openssl here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.wasm");
    std::fs::write(&file, WASM).unwrap();
    openssl(folder.path(), "genpkey -algorithm ed25519 -out key.pem");
    openssl(folder.path(), "pkeyutl -sign -inkey key.pem -rawin -in x.wasm -out x.wasm.sig");
    let line = |pem: Vec<u8>| String::from_utf8(pem).unwrap().lines().nth(1).unwrap().to_owned();
    let key: PublicKey = line(openssl(folder.path(), "pkey -in key.pem -pubout")).parse().unwrap();
    assert!(verify(std::slice::from_ref(&key), &file, WASM).is_ok());
    assert!(matches!(verify(&[key], &file, b"other"), Err(SignatureError::Wrong { .. })));
    assert_eq!(line(openssl(folder.path(), "pkey -in key.pem")).parse::<PublicKey>(), Err(PublicKeyError::Private));
    openssl(folder.path(), "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem");
    let whole = |pem: Vec<u8>| -> String {
        String::from_utf8(pem).unwrap().lines().filter(|line| !line.starts_with('-')).collect()
    };
    let rsa = whole(openssl(folder.path(), "pkey -in rsa.pem -pubout"));
    assert_eq!(rsa.parse::<PublicKey>(), Err(PublicKeyError::Kind));
    let rsa = whole(openssl(folder.path(), "pkey -in rsa.pem"));
    assert_eq!(rsa.parse::<PublicKey>(), Err(PublicKeyError::Private));
}
