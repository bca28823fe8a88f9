// Backup: a copy of a database that is in use, brought up to date, and restored.
#include <iostream>
#include <kv.hpp>

#include "example.hpp"

int main()
{
    const std::string directory = temporary_directory();
    const std::string path = directory + "/db";
    const std::string backup = directory + "/backup";
    const std::string restored = directory + "/restored";

    kv::db db(path);
    db.put("planet", "Saturn");
    db.backup(backup);

    // What both have is not copied again. The function is told how far it is, and may end it by
    // returning false.
    db.put("moon", "Titan");
    const bool is_done = db.backup(backup, [](const kv::progress &progress) {
        std::cout << progress.done_bytes << " of " << progress.total_bytes << " bytes\n";
        return true;
    });
    expect(is_done, "nobody ended it");
    db.close();
    kv::destroy(path);

    // Every checksum is verified on the way back.
    kv::restore(backup, restored);
    kv::db again(restored);
    expect(again.get("planet") == "Saturn" && again.get("moon") == "Titan", "all is there");
    std::cout << again.count() << " keys were restored\n";
    again.close();

    kv::destroy(backup);
    kv::destroy(restored);
}
