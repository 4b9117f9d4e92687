//! Run a WASI program: compile it, give it our standard output, call its `_start`.
//!
//! `cargo run --example hello`

use hotfoot::{Engine, Linker, Module, Result, Store};
use hotfoot_wasi::{WasiCtx, WasiCtxBuilder, p1};

fn main() -> Result<()> {
    // One engine per process: it holds the configuration and the compiler.
    let engine = Engine::default();
    let module = Module::new(&engine, include_bytes!("hello.wasm"))?;

    // A store owns all that a guest has, and one value of ours: here, what WASI shows to the guest.
    let wasi = WasiCtxBuilder::new().inherit_stdio().arg("hello").build();
    let mut store = Store::new(&engine, wasi);

    let mut linker = Linker::new(&engine);
    p1::add_to_linker(&mut linker, |wasi: &mut WasiCtx| wasi)?;
    let instance = linker.instantiate(&mut store, &module)?;
    instance.get_typed_func::<(), ()>(&mut store, "_start")?.call(&mut store, ())
}
