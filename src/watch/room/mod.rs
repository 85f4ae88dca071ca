//! The room's thread: takes hints, looks where they point, gives batches. Knows when to look; how to look stands
//! in the files above.

mod state;
mod edits;
mod roots;
mod scans;
mod bursts;
mod opening;
mod turns;

pub(super) use state::Room;
