//! A plugin that answers whatever its memory begins with.

use std::{ops::Range, sync::OnceLock};

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, DataSection, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    GlobalSection, GlobalType, ImportSection, InstructionSink, MemArg, MemorySection, MemoryType, Module, TypeSection,
    ValType,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// How much of its memory the input gives; the rest is zeros.
pub(crate) const GIVEN: usize = 16 << 10;
const PAGES: u64 = 2;
/// Where the guest puts what the host passes to it.
const HEAP: i32 = 1 << 16;

// The addresses of the words that control the guest.

/// Four words: the addresses that `init`, `resolve`, `authorize` and `authorize-path` return.
pub(crate) const RETURNED: usize = 0;
/// The address that each allocation returns; 0: the next free one.
pub(crate) const ALLOCATED: usize = 16;
/// Three words: the level, address and length of a line that each call logs; all 0: no line.
pub(crate) const LOGGED: usize = 20;
/// Whether the guest traps once its answer was read.
pub(crate) const TRAPS: usize = 32;
pub(crate) const WORDS: usize = 36;

const EXPORTED: [&str; 4] = ["init", "resolve", "authorize", "authorize-path"];

pub(crate) fn with_memory(memory: &[u8]) -> Vec<u8> {
    static TEMPLATE: OnceLock<(Vec<u8>, Range<usize>)> = OnceLock::new();
    let (template, place) = TEMPLATE.get_or_init(|| {
        let given = [0xa5; GIVEN];
        let mut module = module();
        module.section(DataSection::new().active(0, &ConstExpr::i32_const(0), given));
        let template = component(module.finish()).unwrap();
        let start = template.windows(GIVEN).position(|window| window == given).unwrap();
        (template, start..start + GIVEN)
    });
    let mut component = template.clone();
    component[place.clone()]
        .iter_mut()
        .zip(memory.iter().chain(std::iter::repeat(&0)))
        .for_each(|(to, from)| *to = *from);
    component
}

/// Makes a component of a core module with the world's imports and exports; None if the encoder rejects it.
pub(crate) fn component(mut module: Vec<u8>) -> Option<Vec<u8>> {
    static WORLD: OnceLock<(Resolve, wit_parser::WorldId)> = OnceLock::new();
    let (resolve, world) = WORLD.get_or_init(|| {
        let mut resolve = Resolve::default();
        let interface = include_str!("../../../plugin-sdk/wit/policy.wit");
        let package = resolve.push_source("policy.wit", interface).unwrap();
        let world = resolve.select_world(&[package], None).unwrap();
        (resolve, world)
    });
    embed_component_metadata(&mut module, resolve, *world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).and_then(|mut encoder| encoder.encode()).ok()
}

/// The module without its data.
pub(crate) fn module() -> Module {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32; 3], []);
    types.ty().function([ValType::I32; 4], [ValType::I32]);
    types.ty().function([ValType::I32; 2], [ValType::I32]);
    types.ty().function([ValType::I32; 1], [ValType::I32]);
    types.ty().function([ValType::I32; 1], []);
    let [log, allocate, init, decide, after] = [0, 1, 2, 3, 4];
    let mut imports = ImportSection::new();
    imports.import("metagate:policy/host@0.1.0", "log", EntityType::Function(log));
    let mut functions = FunctionSection::new();
    let mut code = CodeSection::new();
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0);
    let mut define = |name: &str, kind: u32, body: &Function| {
        functions.function(kind);
        code.function(body);
        exports.export(name, ExportKind::Func, functions.len());
    };
    define("cabi_realloc", allocate, &allocates());
    for (number, name) in EXPORTED.into_iter().enumerate() {
        let export = format!("metagate:policy/plugin@0.1.0#{name}");
        define(&export, if number == 0 { init } else { decide }, &answers(RETURNED + 4 * number));
        define(&format!("cabi_post_{export}"), after, &ends());
    }
    let mut memories = MemorySection::new();
    let memory_type =
        MemoryType { minimum: PAGES, maximum: None, memory64: false, shared: false, page_size_log2: None };
    memories.memory(memory_type);
    let mut globals = GlobalSection::new();
    let free = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
    globals.global(free, &ConstExpr::i32_const(HEAP));
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions).section(&memories).section(&globals);
    module.section(&exports).section(&code);
    module
}

/// `(old, old size, align, size)`: never frees anything.
fn allocates() -> Function {
    body(|code| {
        word(code, ALLOCATED).if_(BlockType::Empty);
        word(code, ALLOCATED).return_().end();
        code.global_get(0).i32_const(7).i32_add().i32_const(-8).i32_and().global_set(0);
        code.global_get(0).global_get(0).local_get(3).i32_add().global_set(0);
    })
}

fn answers(returned: usize) -> Function {
    body(|code| {
        word(code, LOGGED);
        word(code, LOGGED + 4).i32_or();
        word(code, LOGGED + 8).i32_or().if_(BlockType::Empty);
        word(code, LOGGED);
        word(code, LOGGED + 4);
        word(code, LOGGED + 8).call(0).end();
        word(code, returned);
    })
}

fn ends() -> Function {
    body(|code| {
        word(code, TRAPS).if_(BlockType::Empty).unreachable().end();
    })
}

fn body(write: impl FnOnce(&mut InstructionSink<'_>)) -> Function {
    let mut function = Function::new([]);
    write(&mut function.instructions());
    function.instructions().end();
    function
}

fn word<'a, 'b>(code: &'b mut InstructionSink<'a>, address: usize) -> &'b mut InstructionSink<'a> {
    code.i32_const(i32::try_from(address).unwrap()).i32_load(MemArg { offset: 0, align: 2, memory_index: 0 })
}
