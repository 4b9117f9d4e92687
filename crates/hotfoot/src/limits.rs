//! What a guest may take of the host's memory.

use std::pin::Pin;

use anyhow::{Result, bail};

/// Asked before memories and tables are made or grow; see [`Store::limiter`](crate::Store::limiter).
pub trait ResourceLimiter: Send {
    /// Whether a memory of `current` bytes may have `desired`; `maximum` is its type's, in bytes. An error traps the
    /// guest instead of letting the growth fail.
    ///
    /// # Errors
    /// Whatever should trap the guest.
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool>;

    /// Told when growth that was allowed failed all the same.
    ///
    /// # Errors
    /// Whatever should trap the guest.
    fn memory_grow_failed(&mut self, error: crate::Error) -> Result<()> {
        let _ = error;
        Ok(())
    }

    /// Whether a table of `current` elements may have `desired`.
    ///
    /// # Errors
    /// Whatever should trap the guest.
    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool>;

    /// Told when growth that was allowed failed all the same.
    ///
    /// # Errors
    /// Whatever should trap the guest.
    fn table_grow_failed(&mut self, error: crate::Error) -> Result<()> {
        let _ = error;
        Ok(())
    }

    /// How many instances the store may have. Default: 10,000.
    fn instances(&self) -> usize {
        DEFAULT_COUNT
    }

    /// How many tables the store may have. Default: 10,000.
    fn tables(&self) -> usize {
        DEFAULT_COUNT
    }

    /// How many memories the store may have. Default: 10,000.
    fn memories(&self) -> usize {
        DEFAULT_COUNT
    }
}

/// What a [`ResourceLimiterAsync`] answers, later.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<bool>> + Send + 'a>>;

/// A [`ResourceLimiter`] that may wait before it answers; see [`Store::limiter_async`](crate::Store::limiter_async).
///
/// The two methods that wait are declared as the macro of the crate `async-trait` declares them, which an implementation
/// may use; without it, their types are shorter than they look.
///
/// ```
/// use std::pin::Pin;
/// use hotfoot::{Engine, Memory, MemoryType, ResourceLimiterAsync, Result, Store};
///
/// struct Quota(usize);
///
/// type Answer<'a> = Pin<Box<dyn Future<Output = Result<bool>> + Send + 'a>>;
///
/// impl ResourceLimiterAsync for Quota {
///     fn memory_growing<'a, 'b>(&'a mut self, _: usize, desired: usize, _: Option<usize>) -> Answer<'b>
///     where
///         'a: 'b,
///     {
///         // Whoever knows the quota may have to be asked over the network.
///         Box::pin(async move { Ok(desired <= self.0) })
///     }
///
///     fn table_growing<'a, 'b>(&'a mut self, _: usize, _: usize, _: Option<usize>) -> Answer<'b>
///     where
///         'a: 'b,
///     {
///         Box::pin(async { Ok(true) })
///     }
/// }
///
/// async fn grow() -> Result<()> {
///     let mut store = Store::new(&Engine::default(), Quota(1 << 20));
///     store.limiter_async(|quota| quota);
///     let memory = Memory::new_async(&mut store, MemoryType::new(1, None)).await?;
///     assert!(memory.grow_async(&mut store, 100).await.is_err());
///     Ok(())
/// }
/// ```
pub trait ResourceLimiterAsync: Send {
    /// As [`ResourceLimiter::memory_growing`].
    fn memory_growing<'life0, 'async_trait>(
        &'life0 mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Answer<'async_trait>
    where
        'life0: 'async_trait,
        Self: 'async_trait;

    /// As [`ResourceLimiter::memory_grow_failed`].
    ///
    /// # Errors
    /// Whatever should trap the guest.
    fn memory_grow_failed(&mut self, error: crate::Error) -> Result<()> {
        let _ = error;
        Ok(())
    }

    /// As [`ResourceLimiter::table_growing`].
    fn table_growing<'life0, 'async_trait>(
        &'life0 mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Answer<'async_trait>
    where
        'life0: 'async_trait,
        Self: 'async_trait;

    /// As [`ResourceLimiter::table_grow_failed`].
    ///
    /// # Errors
    /// Whatever should trap the guest.
    fn table_grow_failed(&mut self, error: crate::Error) -> Result<()> {
        let _ = error;
        Ok(())
    }

    /// As [`ResourceLimiter::instances`].
    fn instances(&self) -> usize {
        DEFAULT_COUNT
    }

    /// As [`ResourceLimiter::tables`].
    fn tables(&self) -> usize {
        DEFAULT_COUNT
    }

    /// As [`ResourceLimiter::memories`].
    fn memories(&self) -> usize {
        DEFAULT_COUNT
    }
}

const DEFAULT_COUNT: usize = 10_000;

/// Fixed limits of a store.
#[derive(Clone, Debug)]
pub struct StoreLimits {
    budget: Budget,
    memory_size: Option<usize>,
    table_elements: Option<usize>,
    instances: usize,
    tables: usize,
    memories: usize,
    trap_on_grow_failure: bool,
}

impl Default for StoreLimits {
    fn default() -> StoreLimits {
        StoreLimits {
            budget: Budget { limit: usize::MAX, used: 0, last: 0 },
            memory_size: None,
            table_elements: None,
            instances: DEFAULT_COUNT,
            tables: DEFAULT_COUNT,
            memories: DEFAULT_COUNT,
            trap_on_grow_failure: false,
        }
    }
}

/// Bytes that a store's guests may have of the host's, all kinds together.
#[derive(Clone, Debug)]
struct Budget {
    limit: usize,
    used: usize,
    /// What was allowed last, to be given back if it fails.
    last: usize,
}

/// Bytes of a table's element.
const ELEMENT: usize = 8;

impl Budget {
    /// Takes what growth needs, if there is so much left.
    fn take(&mut self, current: usize, desired: usize) -> bool {
        let more = desired.saturating_sub(current);
        let allowed = self.used.checked_add(more).is_some_and(|used| used <= self.limit);
        self.last = if allowed { more } else { 0 };
        self.used += self.last;
        allowed
    }

    /// Gives back what was taken last.
    fn give_back(&mut self) {
        self.used -= std::mem::take(&mut self.last);
    }
}

/// Makes [`StoreLimits`].
#[derive(Clone, Debug, Default)]
pub struct StoreLimitsBuilder(StoreLimits);

impl StoreLimitsBuilder {
    /// No limits but the default counts.
    pub fn new() -> StoreLimitsBuilder {
        StoreLimitsBuilder::default()
    }

    /// Largest size of each memory, in bytes.
    #[must_use]
    pub fn memory_size(mut self, bytes: usize) -> Self {
        self.0.memory_size = Some(bytes);
        self
    }

    /// Bytes that all memories, tables (8 an element) and the heap of objects may have together. What a memory has once
    /// grown to is counted until the store is gone, also where its instance is reset meanwhile.
    ///
    /// ```
    /// use hotfoot::{Engine, Memory, MemoryType, Store, StoreLimitsBuilder};
    /// let limits = StoreLimitsBuilder::new().total_size(1 << 20).build();
    /// let mut store = Store::new(&Engine::default(), limits);
    /// store.limiter(|limits| limits);
    /// assert!(Memory::new(&mut store, MemoryType::new(10, None)).is_ok());
    /// assert!(Memory::new(&mut store, MemoryType::new(7, None)).is_err());
    /// assert!(Memory::new(&mut store, MemoryType::new(6, None)).is_ok());
    /// ```
    #[must_use]
    pub fn total_size(mut self, bytes: usize) -> Self {
        self.0.budget.limit = bytes;
        self
    }

    /// Largest size of each table, in elements.
    #[must_use]
    pub fn table_elements(mut self, elements: usize) -> Self {
        self.0.table_elements = Some(elements);
        self
    }

    /// How many instances the store may have.
    #[must_use]
    pub fn instances(mut self, count: usize) -> Self {
        self.0.instances = count;
        self
    }

    /// How many tables the store may have.
    #[must_use]
    pub fn tables(mut self, count: usize) -> Self {
        self.0.tables = count;
        self
    }

    /// How many memories the store may have.
    #[must_use]
    pub fn memories(mut self, count: usize) -> Self {
        self.0.memories = count;
        self
    }

    /// Traps the guest when growth fails, instead of telling it.
    #[must_use]
    pub fn trap_on_grow_failure(mut self, trap: bool) -> Self {
        self.0.trap_on_grow_failure = trap;
        self
    }

    /// The limits.
    pub fn build(self) -> StoreLimits {
        self.0
    }
}

impl StoreLimits {
    fn decide(
        &mut self,
        what: &str,
        (current, desired): (usize, usize),
        limit: Option<usize>,
        maximum: Option<usize>,
        unit: usize,
    ) -> Result<bool> {
        let limit = limit.unwrap_or(usize::MAX);
        let fits = desired <= limit && maximum.is_none_or(|maximum| desired <= maximum);
        let allowed = fits && self.budget.take(current.saturating_mul(unit), desired.saturating_mul(unit));
        if !allowed && self.trap_on_grow_failure {
            if fits {
                let Budget { used, limit, .. } = self.budget;
                bail!(
                    "forcing trap when growing {what} to {desired}: {used} of the {limit} bytes of the store are used"
                );
            }
            bail!("forcing trap when growing {what} to {desired}: the limit is {limit}");
        }
        Ok(allowed)
    }

    fn failed(&mut self, what: &str, error: crate::Error) -> Result<()> {
        self.budget.give_back();
        if self.trap_on_grow_failure {
            Err(error.context(format!("forcing a {what} growth failure to be a trap")))
        } else {
            Ok(())
        }
    }
}

impl ResourceLimiter for StoreLimits {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        self.decide("memory", (current, desired), self.memory_size, maximum, 1)
    }

    fn memory_grow_failed(&mut self, error: crate::Error) -> Result<()> {
        self.failed("memory", error)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        self.decide("table", (current, desired), self.table_elements, maximum, ELEMENT)
    }

    fn table_grow_failed(&mut self, error: crate::Error) -> Result<()> {
        self.failed("table", error)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        self.memories
    }
}
