//! Spawns one process: environment, standard streams, descriptors. No policy.
