//! `hotfoot doctor FILE`: where the time to a program's first output goes, and what would help.

use anyhow::{Result, anyhow, bail};

use crate::args::DoctorArgs;
use crate::input::Input;
use crate::{doctor, refusal, stack, ui};

/// Starts the program in every way and prints the report.
pub fn execute(args: &DoctorArgs) -> Result<i32> {
    stack::with_room(args.run.engine.max_wasm_stack(), || run(args))
}

fn run(args: &DoctorArgs) -> Result<i32> {
    let run = &args.run;
    if run.invoke.is_some() || run.threads || !run.preloads.is_empty() {
        bail!("doctor examines programs that run by themselves: leave out --invoke, --preload and -S threads");
    }
    let name = run.source.to_string();
    let Input::Module(wasm) = Input::open(&run.source)? else {
        bail!("{name} is an artifact, whose start holds no secrets; give the module that it was made from")
    };
    let report = doctor::examine(run, &wasm).map_err(|error| refusal::explain(&error, &name))?;
    ui::print(&doctor::text(&report));
    if let Some(path) = &args.html {
        let shown = path.display();
        std::fs::write(path, doctor::page(&report))
            .map_err(|error| anyhow!("cannot write `{shown}`: {error}; name another file with --html"))?;
        ui::say(&format!("wrote `{shown}`; open it in a browser"));
    }
    Ok(0)
}
