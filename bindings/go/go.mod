// The Go package: no dependency but libkv itself, which pkg-config finds.
module example.org/libkv/kv

go 1.19
