//! Reads what valgrind's tool lackey tells of a program: each instruction, load and store, each
//! system call, and which thread has its turn; and sums it up for each operation.
//!
//! valgrind lets one thread run at a time and says which, so that what libkv does in the background
//! is told apart from what the caller's thread does.

use std::collections::BTreeMap;
use std::ops::Range;

const LINE_LEN: u64 = 64;
/// The thread that calls libkv is the program's first.
const CALLER: u64 = 1;
/// How far from a variable of main() the rest of the stack is.
const STACK_BELOW: u64 = 1 << 20;
const STACK_ABOVE: u64 = 1 << 16;

/// What one operation did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    pub instructions: u64,
    pub system_calls: u64,
    pub allocations: u64,
    /// Cache lines of the heap and of maps.
    pub lines: u64,
    /// Those of the program and its libraries: constants, tables, variables.
    pub static_lines: u64,
    pub stack_lines: u64,
}

/// An operation, and what it did each time.
#[derive(Debug, Default)]
pub struct Operation {
    pub name: String,
    /// How many keys it is about each time.
    pub keys: u64,
    pub samples: Vec<Sample>,
    /// Its system calls by name.
    pub system_calls: BTreeMap<String, u64>,
}

/// What the program says of itself, and what has been counted so far.
#[derive(Debug, Default)]
pub struct Trace {
    pub glibc: String,
    pub operations: Vec<Operation>,
    /// Whether the program came to its end.
    pub is_done: bool,
    /// What is no part of the trace, such as messages of the program or of valgrind.
    pub messages: Vec<String>,
    stack: u64,
    statics: Vec<Range<u64>>,
    marks: Option<Marks>,
    thread: u64,
    current: Option<Current>,
}

/// Where the program stores to say what it does.
#[derive(Clone, Copy, Debug)]
struct Marks {
    address: u64,
    end: u64,
    allocation: u64,
}

/// The operation that is going on.
#[derive(Debug)]
struct Current {
    operation: usize,
    sample: Sample,
    touched: Vec<u64>,
}

impl Trace {
    /// Takes one line of the trace, without its end.
    pub fn take(&mut self, line: &[u8]) -> Result<(), String> {
        match line {
            [b'I', b' ', ..] => self.instruction(),
            [b' ', kind @ (b'L' | b'S' | b'M'), b' ', rest @ ..] => {
                if self.thread == CALLER && self.marks.is_some() {
                    let (address, len) = access(rest).ok_or_else(|| unreadable(line))?;
                    self.access(address, len, *kind != b'L')?;
                }
            }
            _ => {
                let text = String::from_utf8_lossy(line);
                self.other(&text).ok_or_else(|| unreadable(line))?;
            }
        }
        Ok(())
    }

    fn instruction(&mut self) {
        if let (CALLER, Some(current)) = (self.thread, &mut self.current) {
            current.sample.instructions += 1;
        }
    }

    fn access(&mut self, address: u64, len: u64, is_store: bool) -> Result<(), String> {
        let mark = self.marks.and_then(|marks| {
            let number = address.checked_sub(marks.address)? / 8;
            (number <= marks.end.max(marks.allocation)).then_some((marks, number))
        });
        match (mark, &mut self.current) {
            (Some((marks, number)), Some(current)) if number == marks.allocation => {
                current.sample.allocations += 1;
            }
            (Some((marks, number)), Some(_)) if number == marks.end => self.end(),
            (Some((marks, number)), None) if number == marks.allocation => {}
            (Some((_, number)), None) if is_store => self.begin(number)?,
            (Some((_, number)), _) => return Err(format!("mark {number} is out of order")),
            (None, Some(current)) => {
                let last = address + len.max(1) - 1;
                current.touched.extend(address / LINE_LEN..=last / LINE_LEN);
            }
            (None, None) => {}
        }
        Ok(())
    }

    fn begin(&mut self, number: u64) -> Result<(), String> {
        let operation = usize::try_from(number).unwrap_or(usize::MAX);
        if operation >= self.operations.len() {
            return Err(format!("there is no operation {number}"));
        }
        let (sample, touched) = (Sample::default(), Vec::new());
        self.current = Some(Current { operation, sample, touched });
        Ok(())
    }

    fn end(&mut self) {
        let Some(mut current) = self.current.take() else { return };
        current.touched.sort_unstable();
        current.touched.dedup();
        let stack = self.stack.saturating_sub(STACK_BELOW)..self.stack + STACK_ABOVE;
        for line in current.touched {
            let address = line * LINE_LEN;
            // The first and the last line of a static part can begin outside of it.
            let is_static =
                |part: &Range<u64>| address + LINE_LEN > part.start && address < part.end;
            let count = if stack.contains(&address) {
                &mut current.sample.stack_lines
            } else if self.statics.iter().any(is_static) {
                &mut current.sample.static_lines
            } else {
                &mut current.sample.lines
            };
            *count += 1;
        }
        self.operations[current.operation].samples.push(current.sample);
    }

    fn other(&mut self, line: &str) -> Option<()> {
        if let Some((_, turn)) = line.split_once("SCHED[") {
            if turn.contains("acquired lock") {
                self.thread = turn.split(']').next()?.parse().ok()?;
            }
        } else if let Some(call) = line.strip_prefix("SYSCALL[") {
            self.system_call(call)?;
        } else if let Some(words) = line.strip_prefix("guard ") {
            self.introduced(words)?;
        } else if !line.trim().is_empty() && !line.trim_start().starts_with("-->") {
            // Not the end of what is told of a system call, either.
            self.messages.push(line.to_owned());
        }
        Some(())
    }

    /// `PROCESS,THREAD](NUMBER) NAME ...`; the end of one that had to wait has no name but dots.
    fn system_call(&mut self, call: &str) -> Option<()> {
        let (_, rest) = call.split_once(',')?;
        let (thread, rest) = rest.split_once(']')?;
        let name = rest.split_whitespace().nth(1)?.split('(').next()?;
        let Some(current) = &mut self.current else { return Some(()) };
        if thread.parse() == Ok(CALLER) && name != "..." {
            current.sample.system_calls += 1;
            let name = name.trim_start_matches("sys_").to_owned();
            *self.operations[current.operation].system_calls.entry(name).or_default() += 1;
        }
        Some(())
    }

    /// What the program says of itself.
    fn introduced(&mut self, words: &str) -> Option<()> {
        let words: Vec<&str> = words.split_whitespace().collect();
        match words[..] {
            ["glibc", version] => self.glibc = version.to_owned(),
            ["stack", address] => self.stack = hexadecimal(address)?,
            ["static", from, to] => self.statics.push(hexadecimal(from)?..hexadecimal(to)?),
            ["marks", address, end, allocation] => {
                let (end, allocation) = (end.parse().ok()?, allocation.parse().ok()?);
                self.marks = Some(Marks { address: hexadecimal(address)?, end, allocation });
            }
            ["operation", name, keys] => self.operations.push(Operation {
                name: name.to_owned(),
                keys: keys.parse().ok()?,
                ..Operation::default()
            }),
            ["done"] => self.is_done = true,
            _ => self.messages.push(words.join(" ")),
        }
        Some(())
    }
}

fn unreadable(line: &[u8]) -> String {
    format!("this line of the trace cannot be read: {}", String::from_utf8_lossy(line))
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).ok()
}

/// `ADDRESS,LENGTH`, the one in hexadecimal, the other in decimal.
fn access(text: &[u8]) -> Option<(u64, u64)> {
    let (address, len) = std::str::from_utf8(text).ok()?.trim().split_once(',')?;
    Some((u64::from_str_radix(address, 16).ok()?, len.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "\
--7--   SCHED[1]:  acquired lock (thread_wrapper(starting new thread))
guard glibc 2.36
guard stack 0x1ffe000500
guard static 0x8010 0x9010
guard marks 0x1000 62 63
guard operation get 1
I  04001000,3
";

    fn read(text: &str) -> Trace {
        let mut trace = Trace::default();
        for line in BEFORE.lines().chain(text.lines()) {
            trace.take(line.as_bytes()).unwrap();
        }
        trace
    }

    #[test]
    fn an_operation_is_what_lies_between_its_marks() {
        let trace = read(
            " S 00001000,8\nI  04001003,5\n L 00002000,8\n L 00008000,8\n L 00009000,8\n\
             \x20S 00002038,16\n M 1ffe0004f8,8\n\
             I  04001008,5\n S 000011f8,8\nSYSCALL[7,1](202) sys_futex ( 1, 2 ) --> [async] ... \n\
             SYSCALL[7,1](202) ... [async] --> Success(0x0) \nI  0400100d,2\n S 000011f0,8\n\
             I  0400100f,2\n L 00009000,8\nguard done\n",
        );
        let expected = Sample {
            instructions: 3,
            system_calls: 1,
            allocations: 1,
            lines: 2,
            static_lines: 2,
            stack_lines: 1,
        };
        assert_eq!(trace.operations[0].samples, [expected]);
        assert_eq!(trace.operations[0].system_calls, [("futex".to_owned(), 1)].into());
        assert!(trace.is_done && trace.messages.is_empty() && trace.glibc == "2.36");
    }

    #[test]
    fn what_another_thread_does_meanwhile_is_not_the_operations() {
        let trace = read(
            " S 00001000,8\nI  04001003,5\n--7--   SCHED[1]: releasing lock (x) -> VgTs_Yielding\n\
             --7--   SCHED[3]:  acquired lock (x)\nI  04002000,1\n S 00003000,8\n\
             SYSCALL[7,3](1) sys_write ( 1, 2, 3 ) --> [async] ... \n\
             --7--   SCHED[1]:  acquired lock (x)\n L 00002000,8\n S 000011f0,8\n",
        );
        let expected = Sample { instructions: 1, lines: 1, ..Sample::default() };
        assert_eq!(trace.operations[0].samples, [expected]);
    }

    #[test]
    fn messages_are_kept_and_nonsense_is_refused() {
        let mut trace = read("guard failed: kv_open returned -40\n==7== valgrind has something\n");
        assert_eq!(trace.messages.len(), 2);
        assert!(!trace.is_done);
        assert!(trace.take(b" L nothing").is_err());
    }
}
