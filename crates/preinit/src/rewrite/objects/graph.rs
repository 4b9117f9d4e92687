//! Which objects are made in the middle of the only place that names them, and in which order the others are made.
//!
//! ```text
//!  global ──▶ a ──▶ b ──▶ c          b, c: named once, all below them too: made inside of a
//!             └───▶ d ◀── table      d: named twice: made by itself
//! ```
//!
//! Nothing here recurses: a list may have as many links as there are objects.

use crate::input::Input;
use crate::objects::field_type;
use crate::state::State;

/// How deep objects are nested in one expression.
const MAX_DEPTH: u32 = 64;
/// About how many instructions one expression has.
const MAX_SIZE: u32 = 1000;
/// Most elements that an array is made from at once. Engines take 10,000.
pub const MAX_FIXED: usize = 10_000;

/// See the module's documentation.
#[derive(Debug)]
pub struct Graph {
    /// Whether an object is made where it is named.
    pub inline: Vec<bool>,
    /// All objects, each after those that it cannot be made without.
    pub order: Vec<u32>,
}

impl Graph {
    /// Looks at all objects of a state.
    pub fn new(input: &Input<'_>, state: &State) -> Graph {
        let mut trees = Trees::new(state);
        trees.find(state);
        let order = order(input, state, &trees.is_tree);
        let inline = trees.is_tree.iter().zip(&trees.is_cut).map(|(tree, cut)| *tree && !cut).collect();
        Graph { inline, order }
    }
}

/// Finds the objects that are named once, and so is everything below them.
struct Trees {
    /// By how many places each object is named.
    named: Vec<u32>,
    /// An object that names it.
    owner: Vec<Option<u32>>,
    /// How many references of each object do not lead to a tree, so far.
    open: Vec<u32>,
    is_tree: Vec<bool>,
    /// Trees that are made by themselves, or their owners would become too large.
    is_cut: Vec<bool>,
    size: Vec<u32>,
    depth: Vec<u32>,
}

impl Trees {
    fn new(state: &State) -> Trees {
        let count = state.objects.len();
        let mut trees = Trees {
            named: vec![0; count],
            owner: vec![None; count],
            open: vec![0; count],
            is_tree: vec![false; count],
            is_cut: vec![false; count],
            size: vec![1; count],
            depth: vec![1; count],
        };
        for (number, object) in state.objects.iter().enumerate() {
            for child in object.values().iter().filter_map(|value| value.object()) {
                trees.named[child as usize] += 1;
                trees.owner[child as usize] = Some(number as u32);
                trees.open[number] += 1;
            }
        }
        let first = |same: &[u32], index: usize| same[index] == index as u32;
        let globals = state.globals.iter().enumerate().filter(|(index, _)| first(&state.same_globals, *index));
        let tables = state.tables.iter().enumerate().filter(|(index, _)| first(&state.same_tables, *index));
        let roots = globals.map(|(_, value)| value).chain(tables.flat_map(|(_, table)| &table.elements));
        for root in roots.filter_map(|value| value.object()) {
            trees.named[root as usize] += 1;
        }
        // An item of a segment is evaluated where it cannot be reached, so it has a name of its own.
        for item in state.element_objects.iter().flatten().filter_map(|value| value.object()) {
            trees.named[item as usize] += 2;
        }
        trees
    }

    fn find(&mut self, state: &State) {
        let mut ready: Vec<u32> =
            (0..self.open.len() as u32).filter(|number| self.open[*number as usize] == 0).collect();
        while let Some(number) = ready.pop() {
            let at = number as usize;
            self.measure(state, at);
            if self.named[at] != 1 {
                continue;
            }
            self.is_tree[at] = true;
            if let Some(owner) = self.owner[at] {
                self.open[owner as usize] -= 1;
                if self.open[owner as usize] == 0 {
                    ready.push(owner);
                }
            }
        }
        let rest: Vec<usize> = (0..self.open.len()).filter(|at| self.open[*at] > 0).collect();
        for at in rest {
            self.measure(state, at);
        }
    }

    /// How large an object is with the trees that are made inside of it.
    fn measure(&mut self, state: &State, at: usize) {
        let values = state.objects[at].values();
        let own = 1 + values.len() as u32;
        let (mut size, mut depth) = (own, 1);
        for child in values.iter().filter_map(|value| value.object()).map(|child| child as usize) {
            if !self.is_tree[child] || self.is_cut[child] {
                continue;
            }
            if self.depth[child] >= MAX_DEPTH || size + self.size[child] > own + MAX_SIZE {
                self.is_cut[child] = true;
            } else {
                size += self.size[child];
                depth = depth.max(1 + self.depth[child]);
            }
        }
        (self.size[at], self.depth[at]) = (size, depth);
        // Its elements are set one by one, for which it needs a name.
        self.is_cut[at] = values.len() > MAX_FIXED;
    }
}

/// All objects in an order in which each comes after what its immutable fields name, and after the trees below it. The
/// other references may lead to later objects. There are no circles: an immutable field was set when its object was made.
fn order(input: &Input<'_>, state: &State, is_tree: &[bool]) -> Vec<u32> {
    let mut order = Vec::with_capacity(state.objects.len());
    let mut seen = vec![false; state.objects.len()];
    // What was found last is named by what was found first.
    for start in (0..state.objects.len() as u32).rev() {
        if std::mem::replace(&mut seen[start as usize], true) {
            continue;
        }
        let mut path = vec![(start, 0)];
        while let Some((number, next)) = path.last_mut() {
            let object = &state.objects[*number as usize];
            let Some(value) = object.values().get(*next) else {
                order.push(*number);
                path.pop();
                continue;
            };
            let is_mutable = field_type(input, object.ty, *next).is_some_and(|field| field.mutable);
            *next += 1;
            let child = value.object().filter(|child| !is_mutable || is_tree[*child as usize]);
            if let Some(child) = child
                && !std::mem::replace(&mut seen[child as usize], true)
            {
                path.push((child, 0));
            }
        }
    }
    order
}
