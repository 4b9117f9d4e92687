//! Compiles the files named on the command line for this machine and says how long each took.

use std::time::Instant;

use hotfoot_compile::{Compiler, Options, Target};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let compiler = Compiler::new(Target::host()?, Options::default())?;
    for path in std::env::args().skip(1) {
        let wasm = std::fs::read(&path)?;
        let start = Instant::now();
        match compiler.compile(&wasm) {
            Ok(artifact) => {
                let seconds = start.elapsed().as_secs_f64();
                println!("{path}: {} bytes to {} in {seconds:.3} s", wasm.len(), artifact.len());
            }
            Err(error) => println!("{path}: {error}"),
        }
    }
    Ok(())
}
