//! All scenes: what is prepared, what is done, and in which order the document has them.

use kv::db::{WriteBatch, WriteOptions, WriteSync};
use kv::engine::destroy::destroy;
use kv::error::Result;
use kv::options::{ReadMode, SyncLevel};

use super::{key, value, Scene, World, Write, KEYS};

const fn scene(
    name: &'static str,
    prepare: fn(&mut World),
    act: fn(&mut World) -> Result<()>,
) -> Scene {
    Scene { name, sync: SyncLevel::None, read_mode: ReadMode::Mmap, prepare, act }
}

const fn synced(scene: Scene) -> Scene {
    Scene { sync: SyncLevel::Always, ..scene }
}

const fn by_pread(scene: Scene) -> Scene {
    Scene { read_mode: ReadMode::Pread, ..scene }
}

/// All of them. A title of docs/FAULTS.md each.
pub const SCENES: [Scene; 27] = [
    scene("the first put after opening", fill_and_reopen, |world| world.put(20, 0)),
    scene("puts, going on in a new segment", World::fill, put_some),
    scene("the same, with the next segment prepared", fill_and_prepare, put_some),
    synced(scene("a put under `always`", World::fill, |world| world.put(20, 0))),
    scene("a delete", fill_and_reopen, |world| world.delete(3)),
    scene("a batch", World::fill, |world| write_batch(world, 3)),
    synced(scene("a batch under `always`", World::fill, |world| write_batch(world, 3))),
    scene("a batch longer than a segment", World::fill, |world| write_batch(world, 9)),
    scene("a conditional put", World::fill, put_if_absent),
    scene("a counter", fill_and_reopen, count),
    scene("a value put together in the log", fill_and_reopen, put_reserved),
    scene("preparing the next segment", World::fill, |world| world.engine().prepare_spare(true)),
    scene("sealing in the background", World::fill, seal),
    scene("a sync, also that of the interval", World::fill, |world| world.engine().sync()),
    scene("a compaction", World::fill, |world| world.engine().compact()),
    scene("compaction in the background", World::fill, compact_in_background),
    scene("a checkpoint", World::fill_and_seal, checkpoint),
    scene("hints", World::fill_and_seal, write_hints),
    scene("the first backup", World::fill_and_seal, |world| world.back_up()),
    scene("a backup in the place of an older one", fill_and_back_up, |world| world.back_up()),
    scene("a restore", fill_and_back_up, |world| world.restore()),
    scene("closing", fill_with_checkpoint, World::close),
    scene("creating a database", |_| (), World::open),
    scene("opening after a close", fill_and_close, World::open),
    scene("opening after the death of the process", fill_and_kill, World::open),
    scene("reads", fill_and_leave_unread, read_all),
    by_pread(scene("reads by `pread`", fill_and_leave_unread, read_all)),
];

/// Removing a database ends it: no scene like the others.
pub const DESTROYING: Scene = scene("removing a database", fill_and_close, remove);

fn fill_and_close(world: &mut World) {
    world.fill();
    world.close().expect("close");
}

fn fill_and_reopen(world: &mut World) {
    fill_and_close(world);
    world.open().expect("it opens again");
}

/// So that segments and pieces of the index are opened when they are read.
fn fill_and_leave_unread(world: &mut World) {
    world.fill_and_seal();
    world.engine().write_due_hints();
    world.engine().checkpoint();
    world.close().expect("close");
    world.open().expect("it opens again");
}

fn fill_and_prepare(world: &mut World) {
    world.fill();
    world.engine().prepare_spare(true).expect("there is room");
}

fn fill_with_checkpoint(world: &mut World) {
    fill_and_prepare(world);
    world.engine().checkpoint();
}

/// With what a crash may leave: full segments, an empty one behind the log, files of nobody.
fn fill_and_kill(world: &mut World) {
    fill_with_checkpoint(world);
    world.put(20, 0).expect("put");
    world.kill();
    for name in ["INDEX.new", "MANIFEST.new", "00000077.seg"] {
        std::fs::write(world.path("db").join(name), b"left over").expect("it can be written");
    }
}

fn fill_and_back_up(world: &mut World) {
    world.fill_and_seal();
    world.back_up().expect("a backup");
    put_some(world).expect("puts");
    while world.engine().seal_in_background() {}
}

fn put_some(world: &mut World) -> Result<()> {
    (0..7).try_for_each(|number| world.put(20 + number, 0))
}

fn write_batch(world: &mut World, puts: u8) -> Result<()> {
    let mut writes: Vec<Write> =
        (0..puts).map(|number| (key(30 + number), Some(value(number, 7)))).collect();
    writes.push((key(4), None));
    let mut batch = WriteBatch::new();
    for (key, value) in &writes {
        match value {
            Some(value) => batch.put(key, value, 0).expect("it is a record"),
            None => batch.delete(key).expect("it is a key"),
        }
    }
    let result = world.engine().write(&batch, WriteSync::AsOpened);
    world.note(result, writes)
}

fn put_if_absent(world: &mut World) -> Result<()> {
    let options = WriteOptions { if_absent: true, ..WriteOptions::default() };
    for number in 40..46 {
        let (key, value) = (key(number), value(number, 1));
        let result = world.engine().put_with(&key, &value, &options);
        world.note(result, vec![(key, Some(value))])?;
    }
    Ok(())
}

fn count(world: &mut World) -> Result<()> {
    world.add(key(50), 7)
}

fn put_reserved(world: &mut World) -> Result<()> {
    world.put_reserved(key(60), value(60, 3))
}

fn seal(world: &mut World) -> Result<()> {
    while world.engine().seal_in_background() {}
    Ok(())
}

fn compact_in_background(world: &mut World) -> Result<()> {
    while world.engine().compact_if_due()? {}
    Ok(())
}

fn checkpoint(world: &mut World) -> Result<()> {
    world.engine().checkpoint();
    Ok(())
}

fn write_hints(world: &mut World) -> Result<()> {
    world.engine().write_due_hints();
    Ok(())
}

fn read_all(world: &mut World) -> Result<()> {
    for number in 0..KEYS {
        let found = world.engine().get(&key(number), <[u8]>::to_vec)?;
        assert_eq!(found.as_ref(), world.held.get(&key(number)), "key {number}");
    }
    let mut iter = world.engine().open_iter(None, b"")?;
    let mut count = 0;
    let walked = loop {
        match world.engine().advance(&mut iter) {
            Ok(true) => count += 1,
            Ok(false) => break Ok(count),
            Err(error) => break Err(error),
        }
    };
    world.engine().close_iter(iter);
    assert_eq!(walked?, world.held.len());
    Ok(())
}

fn remove(world: &mut World) -> Result<()> {
    let storage = world.storage("db")?;
    destroy(&*storage)?;
    world.held.clear();
    Ok(())
}
