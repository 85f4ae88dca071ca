//! Every answer devrun writes itself, and its page.
