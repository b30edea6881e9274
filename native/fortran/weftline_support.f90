! How every call of the Fortran face ends, and texts and addresses on the way to C and back.
module weftline_support
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: error_unit, int64
  use weft_codes
  use weftline_c
  implicit none
  private
  public :: weft_error_text, done, fail, told, refuse_section, give, address_of, behind, text_at, bytes_of, limit, item_size

contains

  !> Words for the last failed call of this thread; "" if none.
  function weft_error_text() result(text)
    character(:), allocatable :: text
    text = text_of(c_weft_error_text(c_null_ptr))
  end function

  ! The end of every call: hands out the code and, where it failed, the words, or ends the program. `words` is not the
  ! caller's optional `errmsg`: gfortran (seen with 12.2) hands on an optional text of deferred length with a copy of its
  ! length, so that the caller's stays what it was. Each procedure assigns its own `errmsg`, by told().
  subroutine done(code, ierr, words)
    integer(c_int), intent(in) :: code
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out) :: words
    if (code == WEFT_OK) then
      if (present(ierr)) ierr = WEFT_OK
    else
      call fail(int(code), weft_error_text(), ierr, words)
    end if
  end subroutine

  subroutine fail(code, text, ierr, words)
    integer, intent(in) :: code
    character(*), intent(in) :: text
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out) :: words
    words = text
    if (present(ierr)) then
      ierr = code
    else
      write (error_unit, "(a)") text
      error stop 1
    end if
  end subroutine

  subroutine refuse_section(ierr, words)
    integer, intent(out), optional :: ierr
    character(:), allocatable, intent(out) :: words
    call fail(WEFT_INVALID_ARGUMENT, "WEFT_INVALID_ARGUMENT: the array is not contiguous; give a whole array, or a " // &
        "section of whole leading dimensions", ierr, words)
  end subroutine

  ! For `errmsg`: what done() or fail() said; "" after success.
  function told(words) result(text)
    character(:), allocatable, intent(in) :: words
    character(:), allocatable :: text
    text = ""
    if (allocated(words)) text = words
  end function

  ! A text for C, and its address: NULL where none was given.
  subroutine give(text, copy, address)
    character(*), intent(in), optional :: text
    character(kind=c_char, len=:), allocatable, target, intent(inout) :: copy
    type(c_ptr), intent(out) :: address
    address = c_null_ptr
    if (.not. present(text)) return
    copy = text // c_null_char
    address = c_loc(copy)
  end subroutine

  type(c_ptr) function address_of(text) result(address)
    character(*), intent(in), target :: text
    address = c_null_ptr
    if (len(text) > 0) address = c_loc(text)
  end function

  type(c_ptr) function behind(address, bytes) result(moved)
    type(c_ptr), intent(in) :: address
    integer(int64), intent(in) :: bytes
    integer(c_intptr_t) :: number
    number = transfer(address, number)
    moved = transfer(number + bytes, moved)
  end function

  function text_of(address) result(text)
    type(c_ptr), intent(in) :: address
    character(:), allocatable :: text
    text = ""
    if (c_associated(address)) text = text_at(address, int(c_strlen(address), c_int64_t))
  end function

  function text_at(address, length) result(text)
    type(c_ptr), intent(in) :: address
    integer(c_int64_t), intent(in) :: length
    character(:), allocatable :: text
    character(kind=c_char), pointer :: letters(:)
    integer(c_int64_t) :: i
    allocate(character(len=length) :: text)
    call c_f_pointer(address, letters, [length])
    do i = 1, length
      text(i:i) = letters(i)
    end do
  end function

  pure integer(int64) function bytes_of(items, item_bytes) result(bytes)
    integer(int64), intent(in) :: items
    integer, intent(in) :: item_bytes
    bytes = items * item_bytes
  end function

  pure integer(c_int64_t) function limit(timeout_ms, otherwise) result(ms)
    integer(int64), intent(in), optional :: timeout_ms
    integer(int64), intent(in) :: otherwise
    ms = otherwise
    if (present(timeout_ms)) ms = timeout_ms
  end function

  pure integer(c_int64_t) function item_size(item_bytes) result(bytes)
    integer, intent(in), optional :: item_bytes
    bytes = 8
    if (present(item_bytes)) bytes = item_bytes
  end function

end module weftline_support
