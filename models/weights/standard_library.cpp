#include "models/weights/pickle_symbols.h"

#include <algorithm>
#include <string>
#include <unordered_set>

namespace mtyolo::models {
namespace {

// Top names of the standard library: those Python 3.11 lists in sys.stdlib_module_names, those that only
// Python 2.7 had on any platform, and those added up to 3.14; besides, the packages that P5 names.
constexpr std::string_view kNames =
    "AL BaseHTTPServer Bastion CD CDROM CGIHTTPServer Carbon ConfigParser Cookie DEVICE DLFCN "
    "DocXMLRPCServer "
    "EasyDialogs FL FM FrameWork GL GLWS HTMLParser IN MacOS MimeWriter MiniAEFrame Queue STROPTS "
    "ScrolledText SimpleHTTPServer SimpleXMLRPCServer SocketServer StringIO TYPES Tix Tkinter UserDict "
    "UserList UserString __builtin__ __future__ _abc _aix_support _android_support _apple_support _ast "
    "_ast_unparse _asyncio _bisect _blake2 _bootlocale _bootsubprocess _bz2 _codecs _codecs_cn _codecs_hk "
    "_codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw _collections _collections_abc _colorize _compat_pickle "
    "_compression _contextvars _crypt _csv _ctypes _ctypes_test _curses _curses_panel _datetime _dbm "
    "_decimal "
    "_distutils_hack _dummy_thread _dummy_threading _elementtree _frozen_importlib "
    "_frozen_importlib_external "
    "_functools _gdbm _hashlib _heapq _hmac _imp _interpchannels _interpqueues _interpreters _io "
    "_ios_support "
    "_json _locale _lsprof _lzma _markupbase _md5 _msi _multibytecodec _multiprocessing _opcode "
    "_opcode_metadata _operator _osx_support _overlapped _pickle _posixshmem _posixsubprocess _py_abc "
    "_py_warnings _pydecimal _pyio _pylong _pyrepl _queue _random _remote_debugging _scproxy _sha1 _sha256 "
    "_sha3 _sha512 _signal _sitebuiltins _socket _sqlite3 _sre _ssl _stat _statistics _string _strptime "
    "_struct _suggestions _symtable _sysconfig _testcapi _testinternalcapi _thread _threading_local _tkinter "
    "_tokenize _tracemalloc _types _typing _uuid _warnings _weakref _weakrefset _winapi _winreg _zoneinfo "
    "_zstd abc aepack aetools aetypes aifc al annotationlib antigravity anydbm applesingle argparse array "
    "ast "
    "asynchat asyncio asyncore atexit audiodev audioop autoGIL base64 bdb binascii binhex bisect bsddb "
    "buildtools builtins bz2 cPickle cProfile cStringIO calendar cd cddb cdplayer ce cfmfile cgi cgitb chunk "
    "cmath cmd code codecs codeop collections colorsys commands compileall compiler compression concurrent "
    "configparser contextlib contextvars cookielib copy copy_reg copyreg crypt csv ctypes curses dataclasses "
    "datetime dbhash dbm decimal difflib dircache dis distutils dl doctest dumbdbm dummy_thread "
    "dummy_threading email encodings ensurepip enum errno exceptions faulthandler fcntl filecmp fileinput "
    "findertools fl flp fm fnmatch formatter fpectl fpformat fractions ftplib functools future_builtins gc "
    "gdbm genericpath gensuitemodule getopt getpass gettext gl glob graphlib grp gzip hashlib heapq hmac "
    "hotshot html htmlentitydefs htmllib http httplib ic icopen idlelib ihooks imaplib imgfile imghdr imp "
    "importlib imputil inspect io ipaddress itertools jpeg json keyword lib2to3 linecache linuxaudiodev "
    "locale logging lzma macerrors macos macostools macpath macurl2path mailbox mailcap markupbase marshal "
    "math md5 mhlib mimetools mimetypes mimify mmap modulefinder msilib msvcrt multifile multiprocessing "
    "mutex netrc new nis nntplib nt ntpath nturl2path numbers numpy opcode operator optparse org os os2 "
    "os2emxpath ossaudiodev parser pathlib pdb pickle pickletools pip pipes pkg_resources pkgutil platform "
    "plistlib popen2 poplib posix posixfile posixpath pprint profile pstats pty pwd py_compile pyclbr pydoc "
    "pydoc_data pyexpat queue quopri random re readline repr reprlib resource rexec rfc822 riscos "
    "rlcompleter "
    "robotparser runpy sched secrets select selectors sets setuptools sgmllib sha shelve shlex shutil signal "
    "site smtpd smtplib sndhdr socket socketserver spwd sqlite3 sre sre_compile sre_constants sre_parse ssl "
    "stat statistics statvfs string stringprep strop struct subprocess sunau sunaudio sunaudiodev symbol "
    "symtable sys sysconfig syslog tabnanny tarfile telnetlib tempfile termios test textwrap this threading "
    "time timeit tkColorChooser tkCommonDialog tkFileDialog tkFont tkMessageBox tkSimpleDialog tkinter "
    "toaiff "
    "token tokenize tomllib torch torgb trace traceback tracemalloc ttk tty turtle turtledemo types typing "
    "unicodedata unittest urllib urllib2 urlparse user uu uuid venv videoreader warnings wave weakref "
    "webbrowser whichdb winreg winsound wsgiref xdrlib xml xmllib xmlrpc xmlrpclib zipapp zipfile zipimport "
    "zlib zoneinfo";

std::unordered_set<std::string_view> split_names() {
  std::unordered_set<std::string_view> names;
  for (size_t begin = 0; begin < kNames.size();) {
    const size_t end = std::min(kNames.find(' ', begin), kNames.size());
    names.insert(kNames.substr(begin, end - begin));
    begin = end + 1;
  }
  return names;
}

}  // namespace

bool is_standard_library(std::string_view top_name) {
  static const std::unordered_set<std::string_view> names = split_names();
  return names.contains(top_name);
}

}  // namespace mtyolo::models
