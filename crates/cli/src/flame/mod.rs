//! A flame graph: one file of HTML with everything in it, data as JSON and a script that draws it.
//!
//! The names that guests chose reach the page only inside the JSON, in which `<` is escaped, and the script puts them
//! nowhere but into text.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use hotfoot::ProfileFrame;
use serde::Serialize;

const PAGE: &str = include_str!("page.html");
const PLACE_OF_DATA: &str = "@DATA@";

#[derive(Serialize)]
struct Data<'a> {
    program: &'a str,
    interval_ms: f64,
    lost: u64,
    names: Vec<&'a str>,
    /// The first is the root, below which all stacks are.
    nodes: Vec<Node>,
}

/// A function and those that called it; written as a list, to be short.
#[derive(Serialize)]
struct Node(
    /// Number of the node that called it; of the root, its own.
    usize,
    /// Number of the name.
    usize,
    /// Samples in which it was the newest frame.
    u64,
    /// 1 if it stands for the host.
    u8,
);

/// The page for these stacks, oldest frame first, and how often each was seen.
///
/// # Errors
/// None that a person could cause.
pub fn page(program: &str, interval: Duration, stacks: &[(Vec<ProfileFrame>, u64)], lost: u64) -> Result<String> {
    let (mut names, mut name_numbers) = (vec![program], HashMap::new());
    let mut nodes = vec![Node(0, 0, 0, 0)];
    let mut node_numbers = HashMap::new();
    for (frames, count) in stacks {
        let mut at = 0;
        for frame in frames {
            let name = *name_numbers.entry(frame.name()).or_insert_with(|| {
                names.push(frame.name());
                names.len() - 1
            });
            at = *node_numbers.entry((at, name)).or_insert_with(|| {
                nodes.push(Node(at, name, 0, frame.is_host().into()));
                nodes.len() - 1
            });
        }
        nodes[at].2 += count;
    }
    let data = Data { program, interval_ms: interval.as_secs_f64() * 1e3, lost, names, nodes };
    let json = serde_json::to_string(&data)?.replace('<', "\\u003c");
    Ok(PAGE.replace(PLACE_OF_DATA, &json))
}
