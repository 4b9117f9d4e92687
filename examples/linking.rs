//! Link modules to each other: the exports of one instance are the imports of the next.
//!
//! `cargo run --example linking`

use hotfoot::{Engine, Linker, Module, Result, Store};

const COUNTER: &str = r#"
    (module
      (global $count (mut i32) (i32.const 0))
      (func (export "next") (result i32)
        (global.set $count (i32.add (global.get $count) (i32.const 1)))
        (global.get $count)))
"#;

const TWICE: &str = r#"
    (module
      (import "counter" "next" (func $next (result i32)))
      (func (export "twice") (result i32)
        (drop (call $next))
        (call $next)))
"#;

fn main() -> Result<()> {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);

    let counter = linker.instantiate(&mut store, &Module::new(&engine, COUNTER)?)?;
    linker.instance(&mut store, "counter", counter)?;

    // Two instances of one module that share the counter, as both were linked to the same instance of it.
    let module = Module::new(&engine, TWICE)?;
    for name in ["first", "second"] {
        let instance = linker.instantiate(&mut store, &module)?;
        let twice = instance.get_typed_func::<(), i32>(&mut store, "twice")?;
        println!("{name}: {}", twice.call(&mut store, ())?);
    }
    Ok(())
}
