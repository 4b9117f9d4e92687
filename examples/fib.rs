//! Call a function that WebAssembly exports, with its type checked once and no conversion at each call.
//!
//! `cargo run --example fib`

use hotfoot::{Engine, Instance, Module, Result, Store};

const FIB: &str = r#"
    (module
      (func $fib (export "fib") (param $n i64) (result i64)
        (if (result i64) (i64.lt_s (local.get $n) (i64.const 2))
          (then (local.get $n))
          (else
            (i64.add
              (call $fib (i64.sub (local.get $n) (i64.const 1)))
              (call $fib (i64.sub (local.get $n) (i64.const 2))))))))
"#;

fn main() -> Result<()> {
    let engine = Engine::default();
    // Text and binary modules are both welcome.
    let module = Module::new(&engine, FIB)?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;

    let fib = instance.get_typed_func::<i64, i64>(&mut store, "fib")?;
    for n in [1, 10, 25] {
        println!("fib({n}) = {}", fib.call(&mut store, n)?);
    }

    // Asking for the wrong type is an error here, not at the call.
    assert!(instance.get_typed_func::<i32, i32>(&mut store, "fib").is_err());
    Ok(())
}
