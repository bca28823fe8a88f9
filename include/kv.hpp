// libkv for C++17 and later: classes over kv.h, in headers only. Link as for C, with -lkv.
//
//     #include <kv.hpp>
//
//     kv::db db("app.kv");
//     db.put("planet", "Saturn");
//     if (auto planet = db.get("planet")) std::cout << *planet << '\n';
//     for (auto [key, value] : db.scan()) std::cout << key << " = " << value << '\n';
//
// kv.h is the reference: a function here is named after the one there that it calls, and what is
// said there of statuses, ownership, threads and durability holds. What is added:
//
// 1. Every call has two forms. try_put() never throws by itself: it returns kv::result, which is
//    true on KV_OK, and has status(), message() and the value. put() throws kv::error on failures.
//    Answers are not failures: what is missing is an empty std::optional, or false. Compiled with
//    -fno-exceptions, or with KV_NO_EXCEPTIONS defined, there are only the forms with try_. The two
//    ways of compiling have types of their own, so that a program that mixes them by mistake does
//    not link.
// 2. Classes own what they are named after, can be moved and not copied, and give it back at the
//    end. What was moved from can be destroyed and assigned to; its calls return null_argument.
//    A kv::db that was closed says status::closed, and so does all that came from it; a kv::view
//    can be read all the same. Classes may be destroyed in any order, after the database too.
// 3. Keys and values are kv::bytes: std::string_view, std::string, text in quotes, std::span,
//    std::vector or std::array of bytes. They are read during the call only. What comes back as
//    std::string_view belongs to what it came from, which says for how long.
// 4. One kv::db may be used by any number of threads at once, also to close it; moving and
//    destroying it are for one. Everything else belongs to one thread at a time.
// 5. Nothing is allocated but what kv.h allocates, strings and lists that are returned, and a list
//    of the keys of get_many() if they are in none. Where there is no memory for those,
//    std::bad_alloc is thrown as ever.
// 6. No call of libkv may be left by an exception, so that of a function that is called back is
//    caught, and thrown on when libkv has returned.
#ifndef KV_HPP
#define KV_HPP

#if !defined(__cplusplus) || __cplusplus < 201703L
#error "kv.hpp needs C++17; for older compilers there is kv.h"
#endif

#include "kv.h"

// The parts see these two names; they are gone at the end.
#if defined(__cpp_exceptions) && !defined(KV_NO_EXCEPTIONS)
#define KV_HPP_THROWS 1
#define KV_HPP_FORM with_exceptions
#else
#define KV_HPP_THROWS 0
#define KV_HPP_FORM without_exceptions
#endif

#include "kv/status.hpp"

#include "kv/bytes.hpp"
#include "kv/handle.hpp"

#include "kv/observe.hpp"
#include "kv/options.hpp"
#include "kv/reader.hpp"
#include "kv/write.hpp"

#include "kv/batch.hpp"
#include "kv/iterator.hpp"
#include "kv/many.hpp"
#include "kv/reservation.hpp"
#include "kv/writer.hpp"
#include "kv/maintenance.hpp"
#include "kv/rescue.hpp"

#include "kv/db.hpp"

#undef KV_HPP_THROWS
#undef KV_HPP_FORM

#endif
