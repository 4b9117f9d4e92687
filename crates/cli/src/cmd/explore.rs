//! `hotfoot explore FILE`: a page with a module's text and machine code side by side.

use anyhow::{Result, bail};

use crate::anatomy::start::{grouped, size};
use crate::args::{EngineArgs, ExploreArgs};
use crate::input::Input;
use crate::listing::Listing;
use crate::output::Output;
use crate::{explore, progress, refusal, wasm_text};

/// Most machine code on one page, in bytes: what a browser shows without delay.
const PAGE_CODE_MAX: u64 = 1 << 20;

/// Compiles, and writes the page.
pub fn execute(args: &ExploreArgs) -> Result<i32> {
    let name = args.file.to_string();
    let options = EngineArgs::for_target(&args.engine, &args.target)?;
    let engine = options.engine_to_read()?;
    let output = Output::new(args.output.as_ref(), &args.file, "html")?;
    let Input::Module(wasm) = Input::open(&args.file)? else {
        bail!(
            "{name} is an artifact, and the text of its module is not in it; explore the module that it was made from"
        )
    };
    let artifact = progress::shown(&name, |observer| engine.precompile_module_observed(&wasm, observer))
        .map_err(|error| refusal::explain(&error, &name))?;
    let listing = Listing::new(&artifact)?;
    let functions = listing.functions(args.func.as_deref())?;
    require_page(&listing, &functions, &name)?;
    let text = wasm_text::functions(&wasm, |index| functions.binary_search(&index).is_ok())?;
    let page = explore::page(&args.file.program_name(), &listing, &functions, &text)?;
    output.write(page.as_bytes(), true)?;
    output.announce(args.output.as_ref());
    Ok(0)
}

/// Refuses more than a page can show.
fn require_page(listing: &Listing<'_>, functions: &[u32], name: &str) -> Result<()> {
    let sizes = functions.iter().map(|function| Ok(listing.code(*function)?.1.len() as u64));
    let bytes: u64 = sizes.sum::<Result<u64>>()?;
    if bytes > PAGE_CODE_MAX {
        bail!(
            "{name} has {} of machine code in {} functions, more than the {} that a page can show; choose functions with \
             --func INDEX|NAME (`hotfoot inspect` names the largest)",
            size(bytes),
            grouped(functions.len() as u64),
            size(PAGE_CODE_MAX)
        );
    }
    Ok(())
}
