//! Settings of all plugins that come from files.

use super::{Checker, Key, raw};
use crate::config::{Compiled, PluginFiles};

impl Checker<'_, '_> {
    pub(super) fn plugin_files(&mut self, raw: &raw::PluginFiles) -> Option<PluginFiles> {
        let at = |name| Key::dotted("plugin_files").name(name);
        let help = "write the line between BEGIN and END of what `openssl pkey -in key.pem -pubout` prints";
        let mut public_keys = Vec::new();
        for (index, written) in raw.public_keys.iter().enumerate() {
            public_keys.extend(self.parse(&at("public_keys").index(index), written, help));
        }
        let compiled = self.compiled(raw, &at("compiled"), &at("compiled_key_file"));
        let all_read = public_keys.len() == raw.public_keys.len();
        Some(PluginFiles { public_keys, compiled: compiled? }).filter(|_| all_read)
    }

    fn compiled(&mut self, raw: &raw::PluginFiles, folder: &Key, key_file: &Key) -> Option<Option<Compiled>> {
        match (raw.compiled.as_str(), raw.compiled_key_file.as_str()) {
            ("", "") => Some(None),
            (_, "") => {
                self.collector.refuse_pair(
                    [key_file, folder],
                    "compiled_key_file is required when compiled is set",
                    "name a file outside this folder; the gateway creates it if it does not exist: the gateway runs the \
                     native code in the folder, and trusts only files that it sealed with this key",
                );
                None
            }
            ("", _) => {
                self.collector.refuse_pair(
                    [folder, key_file],
                    "compiled is required when compiled_key_file is set",
                    "write the folder for compiled plugins, or remove both keys",
                );
                None
            }
            (written_folder, written_file) => {
                let made = Compiled { folder: self.path(written_folder), key_file: self.path(written_file) };
                if made.key_file.starts_with(&made.folder) {
                    self.collector.refuse(
                        key_file,
                        "is inside the folder that it seals",
                        "write a file outside of that folder",
                    );
                    return None;
                }
                Some(Some(made))
            }
        }
    }
}
