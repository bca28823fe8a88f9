// libkv from Java, through JNA: java -cp jna.jar Example.java DIRECTORY. jna.library.path names
// where the library is if it is not where the system looks.

import com.sun.jna.Library;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.NativeLongByReference;
import com.sun.jna.ptr.PointerByReference;
import com.sun.jna.NativeLong;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

public class Example {
    /** The functions of kv.h that are used here. */
    interface Kv extends Library {
        int kv_open(String path, Pointer options, PointerByReference db);

        int kv_close(Pointer db);

        int kv_put(Pointer db, byte[] key, NativeLong keyLen, byte[] value, NativeLong valueLen);

        int kv_get(Pointer db, byte[] key, NativeLong keyLen, PointerByReference value,
                NativeLongByReference valueLen);

        void kv_free(Pointer value);

        String kv_error_message();
    }

    /** An open database. */
    static class Database implements AutoCloseable {
        static final int NOT_FOUND = 1;
        static final Kv KV = Native.load("kv", Kv.class);
        final Pointer handle;

        Database(String directory) {
            PointerByReference made = new PointerByReference();
            check(KV.kv_open(directory, null, made));
            handle = made.getValue();
        }

        static void check(int status) {
            if (status != 0) {
                throw new IllegalStateException(KV.kv_error_message());
            }
        }

        void put(byte[] key, byte[] value) {
            check(KV.kv_put(handle, key, new NativeLong(key.length), value,
                    new NativeLong(value.length)));
        }

        Optional<byte[]> get(byte[] key) {
            PointerByReference value = new PointerByReference();
            NativeLongByReference length = new NativeLongByReference();
            int status = KV.kv_get(handle, key, new NativeLong(key.length), value, length);
            if (status == NOT_FOUND) {
                return Optional.empty();
            }
            check(status);
            try {
                return Optional.of(value.getValue().getByteArray(0, length.getValue().intValue()));
            } finally {
                KV.kv_free(value.getValue());
            }
        }

        @Override
        public void close() {
            check(KV.kv_close(handle));
        }
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    public static void main(String[] arguments) {
        Database closed;
        try (Database db = new Database(arguments[0])) {
            closed = db;
            db.put(bytes("alice"), bytes("logged in"));
            require(new String(db.get(bytes("alice")).get(), StandardCharsets.UTF_8)
                    .equals("logged in"));
            require(db.get(bytes("bob")).isEmpty());
        }
        try {
            closed.get(bytes("alice"));
            require(false);
        } catch (IllegalStateException e) {
            require(e.getMessage().contains("closed"));
        }
        System.out.println("java: ok");
    }

    static void require(boolean condition) {
        if (!condition) {
            throw new AssertionError();
        }
    }
}
