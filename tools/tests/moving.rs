//! Small programs over other crates that reconnect, and the same programs over this one. The book
//! compares them, in `docs::moving`.

mod moving {
    mod feed;
    mod io_tether;
    mod sdre_stubborn_io;
    mod stream_reconnect;
    mod stubborn_io;
}
