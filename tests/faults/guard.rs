//! Who gets in: keys, hosts, origins, before anything is read or spent.
