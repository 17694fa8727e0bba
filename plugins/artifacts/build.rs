//! Builds the guests as components, compiles the built-ins to native code, and writes the constants that embed them.

#[expect(unreachable_pub, reason = "the library exports the same file")]
#[path = "src/engine.rs"]
mod engine;
#[path = "build/guest.rs"]
mod guest;
#[path = "build/native.rs"]
mod native;

use std::path::{Path, PathBuf};
use std::{env, fs};

use guest::Guest;

/// In the order in which a configuration without plugins asks them.
const BUILTINS: [Guest; 3] = [
    Guest { name: "annotations", package: "metagate-plugin-annotations" },
    Guest { name: "irsa-fallback", package: "metagate-plugin-irsa-fallback" },
    Guest { name: "namespace-regex", package: "metagate-plugin-namespace-regex" },
];
const TRUSTED_ADMIN: Guest = Guest { name: "trusted-admin", package: "metagate-example-trusted-admin" };
/// Each folder of `plugins/examples`.
const EXAMPLES: [Guest; 8] = [
    Guest { name: "account-allow-list", package: "metagate-example-account-allow-list" },
    Guest { name: "business-hours", package: "metagate-example-business-hours" },
    Guest { name: "change-freeze", package: "metagate-example-change-freeze" },
    Guest { name: "deny-list", package: "metagate-example-deny-list" },
    Guest { name: "metadata-path", package: "metagate-example-metadata-path" },
    Guest { name: "own-prefix", package: "metagate-example-own-prefix" },
    Guest { name: "team-role", package: "metagate-example-team-role" },
    TRUSTED_ADMIN,
];
const TESTING: [Guest; 9] = [
    Guest { name: "hostile", package: "metagate-testing-hostile" },
    Guest { name: "wrong-world", package: "metagate-testing-wrong-world" },
    Guest { name: "wrong-types", package: "metagate-testing-wrong-types" },
    Guest { name: "foreign-import", package: "metagate-testing-foreign-import" },
    Guest { name: "wants-wasi", package: "metagate-testing-wants-wasi" },
    Guest { name: "frozen", package: "metagate-testing-frozen" },
    Guest { name: "newer-minor", package: "metagate-testing-newer-minor" },
    Guest { name: "newer-minor-calls", package: "metagate-testing-newer-minor-calls" },
    Guest { name: "next-major", package: "metagate-testing-next-major" },
];

fn main() {
    if let Err(error) = embed() {
        // The directive is one line.
        println!("cargo::error={}", error.lines().collect::<Vec<_>>().join(" "));
    }
}

fn embed() -> Result<(), String> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=src/engine.rs");

    let testing = env::var_os("CARGO_FEATURE_TESTING").is_some();
    let mut guests = BUILTINS.to_vec();
    if testing {
        guests.extend(EXAMPLES.into_iter().chain(TESTING));
    } else {
        guests.push(TRUSTED_ADMIN);
    }
    guest::put_components(&guests, &out)?;
    let native = native::put_code(&BUILTINS, &out)?;

    let builtins: String = BUILTINS.iter().map(|guest| builtin(guest, native)).collect();
    let mut source = format!(
        "/// The built-in plugins, in the order in which a configuration without plugins asks them.\npub const BUILTINS: &[Builtin] = &[\n{builtins}];\n\n\
         /// An example of a custom plugin, as a component: only trusted pods may have a role under `/admin/`.\n\
         pub const EXAMPLE_TRUSTED_ADMIN: &[u8] = include_bytes!({:?});\n",
        TRUSTED_ADMIN.file()
    );
    if testing {
        let components: String = TESTING.iter().map(component).collect();
        let examples: String = EXAMPLES.iter().map(example).collect();
        source += &format!(
            "\n/// Guests for the gateway's tests, as components.\npub mod testing {{\n\
             /// Each folder of `plugins/examples`, with its component.\n\
             pub const EXAMPLES: &[(&str, &[u8])] = &[\n{examples}    ];\n{components}}}\n"
        );
    }
    write(&out.join("embedded.rs"), source.as_bytes())
}

fn builtin(guest: &Guest, native: bool) -> String {
    let precompiled = if native { format!("Some(include_bytes!({:?}))", guest.code_file()) } else { "None".to_owned() };
    format!(
        "    Builtin {{ name: {:?}, wasm: include_bytes!({:?}), precompiled: {precompiled} }},\n",
        guest.name,
        guest.file()
    )
}

fn example(guest: &Guest) -> String {
    format!("        ({:?}, include_bytes!({:?})),\n", guest.name, guest.file())
}

fn component(guest: &Guest) -> String {
    let constant = guest.name.replace('-', "_").to_uppercase();
    let crate_name = guest.package;
    format!(
        "    /// See the crate `{crate_name}`.\n    pub const {constant}: &[u8] = include_bytes!({:?});\n",
        guest.file()
    )
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}"))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
