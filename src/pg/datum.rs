//! Values at the SQL edge that pgrx would copy or parse on the way: a payload is passed on as it
//! came (through Rust's JSON it would be parsed and printed), a time is its 64-bit integer.

use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::{Datum, UnboxDatum};
use pgrx::memcxt::PgMemoryContexts;
use pgrx::nullable::Nullable;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::prelude::*;
use std::marker::PhantomData;

/// A `jsonb` value, untouched: a pointer to the server's own bytes.
#[derive(Clone, Copy)]
pub struct Jsonb(pg_sys::Datum);

/// A `timestamptz`: microseconds since 2000-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub i64);

impl Instant {
    pub fn is_finite(self) -> bool {
        self.0 != i64::MIN && self.0 != i64::MAX
    }
}

impl Jsonb {
    /// The bytes the value takes when stored uncompressed.
    pub fn bytes(self) -> usize {
        // SAFETY: the datum is a valid varlena, as received from the server.
        unsafe { pg_sys::toast_raw_datum_size(self.0) - pg_sys::VARHDRSZ }
    }

    /// Whether the value is a JSON object.
    pub fn is_object(self) -> bool {
        const IS_OBJECT: u32 = 0x2000_0000; // JB_FOBJECT, utils/jsonb.h
        // SAFETY: a detoasted jsonb starts with its 32-bit container header, behind the length word.
        unsafe {
            let value = pg_sys::pg_detoast_datum(self.0.cast_mut_ptr());
            let header = value
                .cast::<u8>()
                .add(pg_sys::VARHDRSZ)
                .cast::<u32>()
                .read_unaligned();
            header & IS_OBJECT != 0
        }
    }

    /// From text that is known to be JSON.
    pub fn from_text(text: &str) -> Jsonb {
        let text = std::ffi::CString::new(text).expect("JSON text has no NUL byte");
        // SAFETY: jsonb_in takes one C string and returns a new jsonb or raises.
        let datum = unsafe {
            pgrx::fcinfo::direct_function_call_as_datum(
                pg_sys::jsonb_in,
                &[Some(text.as_ptr().into())],
            )
        };
        Jsonb(datum.expect("jsonb_in returns a value"))
    }

    pub fn empty_object() -> Jsonb {
        Jsonb::from_text("{}")
    }
}

/// A value of variable length that is passed on as the server's own bytes; copied only where it must outlive a result.
macro_rules! untouched {
    ($rust:ident, $oid:expr) => {
        impl FromDatum for $rust {
            unsafe fn from_polymorphic_datum(
                datum: pg_sys::Datum,
                is_null: bool,
                _: pg_sys::Oid,
            ) -> Option<Self> {
                (!is_null).then_some($rust(datum))
            }

            unsafe fn from_datum_in_memory_context(
                mut memory_context: PgMemoryContexts,
                datum: pg_sys::Datum,
                is_null: bool,
                _: pg_sys::Oid,
            ) -> Option<Self> {
                (!is_null).then(|| {
                    // SAFETY: a non-null datum of such a type is a varlena.
                    memory_context.switch_to(|_| unsafe {
                        $rust(pg_sys::pg_detoast_datum_copy(datum.cast_mut_ptr()).into())
                    })
                })
            }
        }

        impl IntoDatum for $rust {
            fn into_datum(self) -> Option<pg_sys::Datum> {
                Some(self.0)
            }

            fn type_oid() -> pg_sys::Oid {
                $oid
            }
        }
    };
}

untouched!(Jsonb, pg_sys::JSONBOID);

// SAFETY: copies the element, because the array it comes from may be freed before it.
unsafe impl UnboxDatum for Jsonb {
    type As<'src> = Jsonb;

    unsafe fn unbox<'src>(datum: Datum<'src>) -> Jsonb
    where
        Self: 'src,
    {
        unsafe {
            let datum: pg_sys::Datum = std::mem::transmute(datum);
            Jsonb(pg_sys::pg_detoast_datum_copy(datum.cast_mut_ptr()).into())
        }
    }
}

impl FromDatum for Instant {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        _: pg_sys::Oid,
    ) -> Option<Self> {
        (!is_null).then(|| Instant(datum.value() as i64))
    }
}

impl IntoDatum for Instant {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        Some(self.0.into())
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::TIMESTAMPTZOID
    }
}

/// A `text` argument that was not copied yet: its length is known first, so that a gigabyte is refused rather
/// than copied.
#[derive(Clone, Copy)]
pub struct Text(pg_sys::Datum);

impl Text {
    pub fn bytes(self) -> usize {
        // SAFETY: the datum is a valid varlena, as received from the server.
        unsafe { pg_sys::toast_raw_datum_size(self.0) - pg_sys::VARHDRSZ }
    }

    pub fn copy(self) -> String {
        // SAFETY: the datum is a valid text; the database is in UTF-8 (sql/install/schema.sql).
        unsafe { String::from_datum(self.0, false).expect("the argument is not null") }
    }
}

impl FromDatum for Text {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        _: pg_sys::Oid,
    ) -> Option<Self> {
        (!is_null).then_some(Text(datum))
    }
}

impl IntoDatum for Text {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        Some(self.0)
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::TEXTOID
    }
}

/// An array argument whose elements were not copied yet: a failed allocation in Rust would end the server
/// process, so that the number of elements is checked first.
pub struct Elements<T> {
    array: *mut pg_sys::ArrayType,
    of: PhantomData<T>,
}

impl<T> Elements<T> {
    pub fn len(&self) -> usize {
        // SAFETY: a detoasted array starts with its header, behind which its dimensions stand.
        unsafe {
            let dimensions = self.array.add(1).cast::<i32>();
            pg_sys::ArrayGetNItems((*self.array).ndim, dimensions) as usize
        }
    }

    pub fn dimensions(&self) -> i32 {
        // SAFETY: as above.
        unsafe { (*self.array).ndim }
    }

    /// The bytes of all its elements.
    pub fn bytes(&self) -> usize {
        // SAFETY: as above.
        unsafe { pg_sys::toast_raw_datum_size(self.array.into()) }
    }
}

impl<T> Elements<T>
where
    Vec<Option<T>>: FromDatum,
{
    pub fn copy(self) -> Vec<Option<T>> {
        // SAFETY: the datum is an array of the SQL type that belongs to T.
        unsafe {
            FromDatum::from_datum(self.array.into(), false).expect("the argument is not null")
        }
    }
}

impl<T> FromDatum for Elements<T> {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        _: pg_sys::Oid,
    ) -> Option<Self> {
        (!is_null).then(|| {
            let array = unsafe { pg_sys::pg_detoast_datum(datum.cast_mut_ptr()) };
            Elements {
                array: array.cast(),
                of: PhantomData,
            }
        })
    }
}

// SAFETY: the SQL type is that of the vector that it is copied to.
unsafe impl<T> SqlTranslatable for Elements<T>
where
    Vec<Option<T>>: SqlTranslatable,
{
    const TYPE_IDENT: &'static str = <Vec<Option<T>>>::TYPE_IDENT;
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = <Vec<Option<T>>>::ARGUMENT_SQL;
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = <Vec<Option<T>>>::RETURN_SQL;
}

// SAFETY: as above.
unsafe impl<'fcx, T: 'static> ArgAbi<'fcx> for Elements<T> {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        unsafe {
            arg.unbox_arg_using_from_datum()
                .expect("argument is not null")
        }
    }

    unsafe fn unbox_nullable_arg(arg: Arg<'_, 'fcx>) -> Nullable<Self> {
        unsafe { arg.unbox_arg_using_from_datum::<Self>().into() }
    }
}

/// A `tid[]`: where rows are, as one statement tells another.
#[derive(Clone, Copy)]
pub struct Places(pg_sys::Datum);

untouched!(Places, pg_sys::TIDARRAYOID);

/// A `jsonb[]` as one statement yields it and another one takes it.
#[derive(Clone, Copy)]
pub struct JsonbArray(pg_sys::Datum);

untouched!(JsonbArray, pg_sys::JSONBARRAYOID);

impl JsonbArray {
    pub fn len(self) -> usize {
        // SAFETY: the datum is an array, copied whole from a result.
        let elements: Option<Elements<Jsonb>> = unsafe { FromDatum::from_datum(self.0, false) };
        elements.map_or(0, |elements| elements.len())
    }
}

/// Ids of queues as an `int[]` that the server reads where it lies: made once, passed to many statements.
#[derive(Debug)]
pub struct QueueIds(Box<[i32]>);

impl QueueIds {
    /// varlena length, dimensions, offset of the data (0: no nulls), element type, length, lower bound
    const HEADER: usize = 6;

    pub fn new(ids: &[i32]) -> QueueIds {
        let words = Self::HEADER + ids.len();
        let length = (words * size_of::<i32>()) as i32;
        let element = pg_sys::INT4OID.to_u32() as i32;
        let mut array = vec![length << 2, 1, 0, element, ids.len() as i32, 1];
        if cfg!(target_endian = "big") {
            array[0] = length;
        }
        array.extend_from_slice(ids);
        QueueIds(array.into_boxed_slice())
    }

    pub fn ids(&self) -> &[i32] {
        &self.0[Self::HEADER..]
    }

    pub(super) fn datum(&self) -> pg_sys::Datum {
        self.0.as_ptr().into()
    }
}

macro_rules! sql_type {
    ($rust:ty, $sql:literal) => {
        // SAFETY: the SQL type named is the one that FromDatum and IntoDatum convert.
        unsafe impl SqlTranslatable for $rust {
            const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!($rust);
            const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
            const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> =
                Ok(SqlMappingRef::literal($sql));
            const RETURN_SQL: Result<ReturnsRef, ReturnsError> =
                Ok(ReturnsRef::One(SqlMappingRef::literal($sql)));
        }

        // SAFETY: as above.
        unsafe impl<'fcx> ArgAbi<'fcx> for $rust {
            unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
                unsafe {
                    arg.unbox_arg_using_from_datum()
                        .expect("argument is not null")
                }
            }

            unsafe fn unbox_nullable_arg(arg: Arg<'_, 'fcx>) -> Nullable<Self> {
                unsafe { arg.unbox_arg_using_from_datum::<Self>().into() }
            }
        }

        // SAFETY: as above.
        unsafe impl BoxRet for $rust {
            unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
                match self.into_datum() {
                    Some(datum) => unsafe { fcinfo.return_raw_datum(datum) },
                    None => fcinfo.return_null(),
                }
            }
        }
    };
}

sql_type!(Jsonb, "jsonb");
sql_type!(Instant, "timestamptz");
sql_type!(Text, "text");
