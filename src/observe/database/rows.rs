//! Rows of an answer, each turned into what it means as it comes, so that none is kept as it was sent.

use fallible_iterator::FallibleIterator as _;
use postgres_protocol::message::backend::DataRowBody;

use super::text::shown;

/// A value in PostgreSQL's text format; `None` is NULL.
pub(super) trait Value: Sized {
    fn read(text: Option<&str>) -> Option<Self>;
}

/// Text that is to be searched before it is shown; a [`String`] may be shown as it is.
#[derive(Debug)]
pub(super) struct Raw(pub(super) String);

/// One row.
pub(super) trait Row: Sized {
    fn read(row: &DataRowBody) -> Option<Self>;
}

/// Of a body, the values one after the other.
struct Columns<'a> {
    row: &'a DataRowBody,
    ranges: postgres_protocol::message::backend::DataRowRanges<'a>,
}

impl Columns<'_> {
    fn next<T: Value>(&mut self) -> Option<T> {
        let range = self.ranges.next().ok()??;
        let text = match range {
            Some(range) => Some(std::str::from_utf8(self.row.buffer().get(range)?).ok()?),
            None => None,
        };
        T::read(text)
    }

    fn end(mut self) -> Option<()> {
        matches!(self.ranges.next(), Ok(None)).then_some(())
    }
}

macro_rules! rows {
    ($($($name:ident)+;)+) => {$(
        impl<$($name: Value),+> Row for ($($name,)+) {
            fn read(row: &DataRowBody) -> Option<Self> {
                let mut columns = Columns { row, ranges: row.ranges() };
                let read = ($(columns.next::<$name>()?,)+);
                columns.end()?;
                Some(read)
            }
        }
    )+};
}

rows! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
    A B C D E F G H I;
}

macro_rules! numbers {
    ($($number:ty)+) => {$(
        impl Value for $number {
            fn read(text: Option<&str>) -> Option<Self> {
                text?.parse().ok()
            }
        }
    )+};
}

numbers!(i32 i64 f64);

impl Value for bool {
    fn read(text: Option<&str>) -> Option<Self> {
        match text? {
            "t" => Some(true),
            "f" => Some(false),
            _ => None,
        }
    }
}

impl Value for String {
    fn read(text: Option<&str>) -> Option<Self> {
        text.map(shown)
    }
}

impl Value for Raw {
    fn read(text: Option<&str>) -> Option<Self> {
        text.map(|text| Self(text.to_owned()))
    }
}

impl<T: Value> Value for Option<T> {
    fn read(text: Option<&str>) -> Option<Self> {
        match text {
            Some(_) => T::read(text).map(Some),
            None => Some(None),
        }
    }
}
