//! Rules about what we depend on: the contract on nothing, and nobody on a peer.

use super::tree::Tree;

/// Other runtimes. They may appear in `bench/` and `fuzz/`, which are workspaces of their own.
const PEERS: [&str; 6] = ["wasmtime", "winch", "pulley", "wasmer", "wasmi", "wizer"];

/// The one crate with a peer's name that cannot be avoided: a few shared types, on which all of Cranelift depends.
/// Nothing but Cranelift may use it.
const PART_OF_CRANELIFT: &str = "wasmtime-internal-core";

/// Checks the manifests and the lock file.
pub fn check(tree: &Tree, complaints: &mut Vec<String>) {
    for number in dependency_lines(tree.get("crates/abi/Cargo.toml").unwrap_or_default()) {
        complaints.push(format!("crates/abi/Cargo.toml:{number}: the contract has no dependencies; move the code"));
    }
    for package in packages(tree.get("Cargo.lock").unwrap_or_default()) {
        let may_use = |name: &str| name == PART_OF_CRANELIFT && package.name.starts_with("cranelift-");
        for (name, number) in package.dependencies {
            if PEERS.iter().any(|peer| name.starts_with(peer)) && !may_use(name) {
                let by = package.name;
                complaints.push(format!(
                    "Cargo.lock:{number}: {by} depends on the peer {name}; use it only in bench/ or fuzz/"
                ));
            }
        }
    }
}

/// One package of the lock file with the lines that name what it depends on.
struct Package<'a> {
    name: &'a str,
    dependencies: Vec<(&'a str, usize)>,
}

fn packages(lock: &str) -> Vec<Package<'_>> {
    let mut packages: Vec<Package<'_>> = Vec::new();
    for (line, number) in lock.lines().zip(1..) {
        if let Some(name) = line.strip_prefix("name = \"").and_then(|rest| rest.strip_suffix('"')) {
            packages.push(Package { name, dependencies: Vec::new() });
        } else if let (Some(entry), Some(package)) = (line.strip_prefix(" \""), packages.last_mut()) {
            // A name, and a version after it where two are in use.
            let name = entry.split([' ', '"']).next().unwrap_or_default();
            package.dependencies.push((name, number));
        }
    }
    packages
}

/// The lines that name a dependency, of any kind.
fn dependency_lines(manifest: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut inside = false;
    for (line, number) in manifest.lines().map(str::trim).zip(1..) {
        if line.starts_with('[') {
            inside = line.contains("dependencies");
            // `[dependencies.serde]` names one by itself.
            if line.contains("dependencies.") {
                found.push(number);
            }
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            found.push(number);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_found() {
        assert!(
            dependency_lines("[package]\nname = \"a\"\n[dependencies]\n# none\n\n[lints]\nworkspace = true\n")
                .is_empty()
        );
        assert_eq!(
            dependency_lines("[dependencies]\nserde = \"1\"\n[dev-dependencies.libc]\nversion = \"1\"\n"),
            [2, 3, 4]
        );
    }

    #[test]
    fn peers_are_found() {
        let lock = "[[package]]\nname = \"hotfoot\"\ndependencies = [\n \"wasmi 1.0.0\",\n \"wasmparser\",\n]\n\
                    [[package]]\nname = \"cranelift-entity\"\ndependencies = [\n \"wasmtime-internal-core\",\n]\n\
                    [[package]]\nname = \"gimli\"\ndependencies = [\n \"wasmtime-internal-core\",\n]\n";
        let mut complaints = Vec::new();
        check(&Tree::of(&[("Cargo.lock", lock)]), &mut complaints);
        assert_eq!(complaints.len(), 2, "{complaints:?}");
        assert!(complaints[0].starts_with("Cargo.lock:4: hotfoot depends on the peer wasmi;"));
        assert!(complaints[1].contains("gimli depends on the peer wasmtime-internal-core"));
    }
}
