//! Systems on which libkv cannot work: building for one ends with a sentence that says why.
//! scripts/portability.sh builds for others.

#[path = "../src/systems.rs"]
mod systems;

#[test]
fn other_systems_and_narrow_ones_are_refused_in_a_sentence() {
    for os in ["macos", "windows", "freebsd", "android", "none"] {
        let why = systems::refusal(os, "64").unwrap_or_default();
        assert!(why.contains("Linux") && why.contains(os), "{why:?}");
    }
    for width in ["16", "32"] {
        let why = systems::refusal("linux", width).unwrap_or_default();
        assert!(why.contains("64-bit") && why.contains(width), "{why:?}");
    }
    assert_eq!(systems::refusal("linux", "64"), None);
}
