//! The import order and the doors of the house.
