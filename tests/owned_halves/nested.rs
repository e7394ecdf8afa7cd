//! A half that is polled within a poll of the other one is woken after it, once the lock is free.

use std::io::IoSlice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use super::*;

/// A connection that runs a function in each operation, which gets its name. All are ready.
struct Nested(Arc<Mutex<NestedHook>>);

type NestedHook = Box<dyn FnMut(&'static str) + Send>;
type NestedDial = fn() -> std::future::Pending<io::Result<Nested>>;
type Reader = ReconnectingReadHalf<NestedDial>;
type Writer = ReconnectingWriteHalf<NestedDial>;

impl Nested {
    fn run<T>(&self, operation: &'static str, result: T) -> Poll<io::Result<T>> {
        (self.0.lock().unwrap())(operation);
        Poll::Ready(Ok(result))
    }
}

impl AsyncRead for Nested {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        buf.put_slice(b"x");
        self.run("read", ())
    }
}

impl AsyncWrite for Nested {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, b: &[u8]) -> Poll<io::Result<usize>> {
        self.run("write", b.len())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.run("write_vectored", bufs.iter().map(|buf| buf.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.run("is_write_vectored", ()).is_ready()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.run("flush", ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.run("shutdown", ())
    }
}

fn nested() -> (Arc<Mutex<NestedHook>>, Reader, Writer) {
    let hook: NestedHook = Box::new(|_| {});
    let hook = Arc::new(Mutex::new(hook));
    let dial: NestedDial = std::future::pending;
    let builder = ReconnectingStream::builder(dial);
    let (reader, writer) = builder.wrap(Nested(Arc::clone(&hook))).into_split();
    (hook, reader, writer)
}

/// Returns whether the operation was done.
type Operation = fn(Pin<&mut Writer>, &mut Context<'_>) -> bool;

fn is_ok<T>(polled: &Poll<io::Result<T>>) -> bool {
    matches!(polled, Poll::Ready(Ok(_)))
}

const OPERATIONS: [(&str, Operation); 5] = [
    ("write", |writer, cx| is_ok(&writer.poll_write(cx, b"x"))),
    ("write_vectored", |writer, cx| {
        is_ok(&writer.poll_write_vectored(cx, &[IoSlice::new(b"x"), IoSlice::new(b"y")]))
    }),
    ("is_write_vectored", |writer, _| writer.is_write_vectored()),
    ("flush", |writer, cx| is_ok(&writer.poll_flush(cx))),
    ("shutdown", |writer, cx| is_ok(&writer.poll_shutdown(cx))),
];

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_polled_in_an_operation_of_the_writer_is_woken_after_it() {
    for (name, operation) in OPERATIONS {
        let (hook, reader, mut writer) = nested();
        let (task, reader) = (Task::new(), Arc::new(Mutex::new(reader)));
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (in_task, in_reader, in_calls) = (task.clone(), reader.clone(), calls.clone());
        *hook.lock().unwrap() = Box::new(move |operation| {
            in_calls.lock().unwrap().push(operation);
            let mut reader = in_reader.lock().unwrap();
            assert!(poll_read(&in_task, &mut *reader, &mut [0; 4]).is_pending());
        });
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(operation(Pin::new(&mut writer), cx), "{name}");
        assert_eq!(calls.lock().unwrap().last(), Some(&name));
        assert_eq!(task.take_wakes(), 1, "{name}");

        *hook.lock().unwrap() = Box::new(|_| {});
        let mut reader = reader.lock().unwrap();
        assert!(is_ok(&poll_read(&task, &mut *reader, &mut [0; 4])));
    }
}

/// A task of the writer that is polled within its wake-up.
struct Inline {
    writer: Mutex<Writer>,
    has_written: AtomicBool,
}

impl Inline {
    fn write(&self, waker: &Waker) -> bool {
        let mut writer = self.writer.lock().unwrap();
        is_ok(&Pin::new(&mut *writer).poll_write(&mut Context::from_waker(waker), b"x"))
    }
}

impl Wake for Inline {
    fn wake(self: Arc<Self>) {
        let has_written = self.write(Waker::noop());
        self.has_written.store(has_written, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_is_woken_once_the_lock_is_free() {
    let (hook, mut reader, writer) = nested();
    let inline = Arc::new(Inline {
        writer: Mutex::new(writer),
        has_written: AtomicBool::new(false),
    });
    let in_hook = Arc::clone(&inline);
    *hook.lock().unwrap() = Box::new(move |operation| {
        if operation == "read" {
            let waker = Waker::from(Arc::clone(&in_hook));
            assert!(!in_hook.write(&waker), "a thread would wait for itself");
        }
    });
    assert!(is_ok(&poll_read(&Task::new(), &mut reader, &mut [0; 4])));
    assert!(inline.has_written.load(Ordering::SeqCst));
}
