//! The page of the whole library, libkv(3).

use crate::header::{Header, Item, Kind};
use crate::roff::{plain, verbatim, Page};

pub fn of_library(header: &Header, example: &str) -> String {
    let is_page = |name: &str| header.find(name).is_some_and(|found| found.kind == Kind::Function);
    let mut page = Page::new("libkv", &header.version);
    page.section("NAME");
    page.line("libkv \\- an embeddable key-value store");
    page.section("LIBRARY");
    page.line("libkv (\\-lkv)");
    page.section("SYNOPSIS");
    page.line(".nf");
    page.line(".B #include <kv.h>");
    page.line(".PP");
    page.line("\\fBcc\\fP \\fIprogram.c\\fP \\fB$(pkg\\-config \\-\\-cflags \\-\\-libs kv)\\fP");
    page.line(".fi");
    page.section("DESCRIPTION");
    page.paragraphs(&header.preamble, &is_page);
    page.section("FUNCTIONS");
    for item in header.of_kind(Kind::Function) {
        page.tagged(&format!(".BR {} (3)", plain(&item.name)), &[item.brief()], &is_page);
    }
    page.section("STATUSES");
    for item in header.of_kind(Kind::Status) {
        let tag = format!("\\fB{}\\fP ({})", plain(&item.name), verbatim(item.value()));
        page.tagged(&tag, &item.comment.text, &is_page);
    }
    let classes: Vec<&Item> = header
        .of_kind(Kind::Constant)
        .filter(|item| item.name.starts_with("KV_CLASS_") || item.name.starts_with("KV_MAX_"))
        .collect();
    page.section("CLASSES AND LIMITS");
    for item in classes {
        let tag = format!("\\fB{}\\fP ({})", plain(&item.name), verbatim(item.value()));
        page.tagged(&tag, &item.comment.text, &is_page);
    }
    page.section("EXAMPLES");
    page.shown(example);
    page.section("SEE ALSO");
    page.line(".BR kv (1),");
    page.line(".BR kv_open (3),");
    page.line(".BR kv_put (3),");
    page.line(".BR kv_get (3)");
    page.text
}
